"""Draining: once a barrier has passed through each log, everything accepted before it is matched and persisted.

Exception
└── DrainTimedOut         some markets had not passed their barrier in time
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from schemas.commands import PassBarrier
from schemas.rest.drains import Drained, DrainedMarket
from schemas.units import Timestamp
from store.command_log.commands import MarketUnknown, append_command
from store.markets.halts import read_halted
from store.markets.placement import read_placement
from store.queries.operations.progress import PipelineProgress, read_progress
from store.session.connect import Session

POLL_S = 0.02
T = TypeVar("T")


class Sessions(Protocol):
    """Runs a short piece of work on a session: a kept one, or any session of a pool."""

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run the work and return its result."""


class MarketBehind(NamedTuple):
    """A market that has not passed its barrier: the last command persisted, and the one awaited."""

    market: str
    command_seq: int
    awaited_seq: int


class DrainTimedOut(Exception):
    """A drain timed out; `behind` names the markets it was still waiting for."""

    def __init__(self, behind: list[MarketBehind]) -> None:
        super().__init__(behind)
        self.behind = behind


class _Reading(NamedTuple):
    """The progress of each market, and the markets that the exchange itself has halted, with the reasons."""

    progress: Mapping[str, PipelineProgress]
    halted: Mapping[str, str]

    def has_passed(self, market: str, barrier: int) -> bool:
        return self.progress[market].command_seq >= barrier


async def drain(database: Sessions, market: str | None, at: Timestamp, within_s: float) -> Drained:
    """Send a barrier through the log of a market, or of all, and wait until the projection has passed it.

    1. read how far each market is persisted; 2. append the barriers; 3. wait until `progress` has reached each.

    A market that the exchange itself has halted, before the call or during it, is skipped: nothing goes through its log
    until it is resumed. A settled market without a command under way has passed already. Raises MarketUnknown and DrainTimedOut.
    """
    finished = await database.run(_read_finished)
    before = await database.run(_read)
    if market is not None and market not in before.progress:
        raise MarketUnknown(market)
    asked = sorted(before.progress) if market is None else [market]
    running = [name for name in asked if name not in before.halted]
    active = [name for name in running if name not in finished]
    passed_before = {name: before.progress[name].command_seq for name in running if name in finished}
    barriers = passed_before | await database.run(lambda session: _append_barriers(session, active, at))
    after = await _wait_until_passed(database, barriers, within_s)
    passed = {name: after.progress[name] for name, seq in barriers.items() if after.has_passed(name, seq)}
    return Drained(
        processed=sum(now.command_seq - before.progress[name].command_seq for name, now in passed.items()),
        markets=[DrainedMarket(name, now.command_seq, now.event_seq, now.event_hash) for name, now in passed.items()],
        skipped=[name for name in asked if name not in passed],
    )


async def _append_barriers(session: Session, markets: list[str], at: Timestamp) -> dict[str, int]:
    return {market: await append_command(session, market, PassBarrier(at, f"drain-{at}")) for market in markets}


async def _wait_until_passed(database: Sessions, barriers: Mapping[str, int], within_s: float) -> _Reading:
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        reading = await database.run(_read)
        behind = [
            MarketBehind(market, reading.progress[market].command_seq, seq)
            for market, seq in barriers.items()
            if not reading.has_passed(market, seq) and market not in reading.halted
        ]
        if not behind:
            return reading
        if asyncio.get_running_loop().time() >= deadline:
            raise DrainTimedOut(behind)
        await asyncio.sleep(POLL_S)


async def _read(session: Session) -> _Reading:
    return _Reading(await read_progress(session), await read_halted(session))


async def _read_finished(session: Session) -> set[str]:
    placement = await read_placement(session)
    return {market for market, placed in placement.items() if placed.is_finished}
