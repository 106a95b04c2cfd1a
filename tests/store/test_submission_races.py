"""Several processes on one balance: the check and the reservation are one step."""

import asyncio

from schemas.commands import CancelOrders, PlaceOrder
from schemas.units import Timestamp
from schemas.wire import decode_command
from store.submission import Placed, Submission, SubmitCancelAll
from tests.store.account_builder import NOW, USDC, place, session_to, submission_to, user_with

TRIALS = 40


async def test_two_processes_never_use_the_same_dollar_twice(database: str) -> None:
    """40 trials: 5,000 covers one order of 1 BTC and not two; exactly one of two racing sessions gets it."""
    async with submission_to(database) as a, submission_to(database) as b, session_to(database) as session:
        for _ in range(TRIALS):
            user = await user_with(session, 5_000 * USDC)
            answers = await asyncio.gather(*(rival.run([place(user, "1")], NOW, {}) for rival in (a, b)))
            assert [type(answer) for [answer] in answers].count(Placed) == 1
        assert await session.fetchval("SELECT max(live_orders) FROM positions") == 1


async def test_twenty_orders_racing_on_one_balance_take_exactly_what_it_covers(database: str) -> None:
    """20 sessions, 10,000: 3,030 each, so three are accepted, whichever come first."""
    async with session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_place_alone(database, user, NOW)) for _ in range(20)]
        assert sum(isinstance(task.result(), Placed) for task in tasks) == 3
        assert tuple(await session.fetchrow("SELECT live_orders, buy_lots FROM positions") or ()) == (3, 3_000)


async def test_one_client_id_sent_by_twenty_sessions_is_one_order(database: str) -> None:
    """All get the same answer, one of them as the first."""
    async with session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        answers = await asyncio.gather(*(_place_alone(database, user, NOW, client_order_id="a1") for _ in range(20)))
        assert sorted(answer.is_replay for answer in answers if isinstance(answer, Placed)) == [False] + [True] * 19
        assert {answer.order_id for answer in answers if isinstance(answer, Placed)} == {"BTC-PERP-2"}


async def test_a_cancel_all_of_one_process_has_every_order_that_another_accepted_before(database: str) -> None:
    """One process places 200 orders, another cancels all again and again: each command lists every order before it."""
    async with (
        submission_to(database) as placing,
        submission_to(database) as cancelling,
        session_to(database) as session,
    ):
        user = await user_with(session, 100_000 * USDC)
        for _ in range(20):  # in twenty stretches, or a slow machine may cancel all sixty times before the first order
            async with asyncio.TaskGroup() as group:
                group.create_task(_place_one_by_one(placing, user, 10))
                group.create_task(_cancel_all_again(cancelling, user, 3))
        rows = await session.fetch("SELECT command_seq, payload FROM outbox WHERE market_id = 1 ORDER BY command_seq")
        placed: list[int] = []
        cancels = 0
        for row in rows:
            command = decode_command(row["payload"])
            if isinstance(command, PlaceOrder):
                placed.append(row["command_seq"])
            elif isinstance(command, CancelOrders):
                assert command.orders == tuple(placed)  # nothing is projected here: all are live
                cancels += 1
        assert len(placed) == 200
        assert cancels > 10


async def _place_one_by_one(submission: Submission, user: int, count: int) -> None:
    for _ in range(count):
        [answer] = await submission.run([place(user, "0.001")], NOW, {})
        assert isinstance(answer, Placed)


async def _cancel_all_again(submission: Submission, user: int, count: int) -> None:
    for _ in range(count):
        await submission.run([SubmitCancelAll(user)], NOW, {})


async def _place_alone(dsn: str, user: int, now: Timestamp, **more: str) -> object:
    async with submission_to(dsn) as submission:
        [answer] = await submission.run([place(user, "1", **more)], now, {})
        return answer
