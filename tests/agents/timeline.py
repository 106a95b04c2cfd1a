"""Time by commands: a market lives through minutes or days in a second, because its time is what its commands carry.

A test that plays a timeline runs neither clock nor feeds; nothing else in the exchange asks for the time.
"""

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter

from schemas.commands import AdvanceClock, Command
from schemas.units import Timestamp
from store.command_log.commands import Addressed, append_commands
from store.session.connect import Session

SECOND_US = 1_000_000
APPENDED_AT_ONCE = 500


def ticks(began_at: int, seconds: int, every_s: int = 1) -> Iterator[AdvanceClock]:
    """The ticks of a number of seconds, the last one included."""
    for second in range(every_s, seconds + 1, every_s):
        yield AdvanceClock(Timestamp(began_at + second * SECOND_US))


def timeline(*parts: Iterable[Command]) -> list[Command]:
    """Commands of several kinds in the order of their times; of one time, in the order of the parts."""
    return list(heapq.merge(*parts, key=attrgetter("at")))


async def play(session: Session, market: str, *parts: Iterable[Command]) -> None:
    """Append a timeline to a market's log; `Stream.drained` waits until it has been lived through."""
    commands = [Addressed(market, command) for command in timeline(*parts)]
    for first in range(0, len(commands), APPENDED_AT_ONCE):
        await append_commands(session, commands[first : first + APPENDED_AT_ONCE])
