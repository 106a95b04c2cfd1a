"""Connections begin to write a few at a time, in the order in which they asked."""

import asyncio

from api.live.session.write_turns import AT_ONCE, WriteTurns


async def test_few_write_at_once() -> None:
    """Nothing waits for another turn of the loop."""
    turns, begun = WriteTurns(), list[int]()
    for number in range(AT_ONCE):
        turns.ask(lambda number=number: begun.append(number))  # type: ignore[misc]  # the default is the argument
    assert begun == list(range(AT_ONCE))


async def test_many_write_in_turns() -> None:
    """At most so many in a turn; what asks meanwhile comes last; others run in between."""
    turns, begun, seen = WriteTurns(), list[int](), list[int]()
    for number in range(3 * AT_ONCE):
        turns.ask(lambda number=number: begun.append(number))  # type: ignore[misc]  # as above
    turns.ask(lambda: begun.append(-1))
    for _ in range(5):
        seen.append(len(begun))
        await asyncio.sleep(0)
    assert seen == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE, 3 * AT_ONCE + 1, 3 * AT_ONCE + 1]
    assert begun == [*range(3 * AT_ONCE), -1]
