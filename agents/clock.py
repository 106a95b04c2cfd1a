"""The clock: sends every market the time once a second, and at once when a live order is due. The engine has no clock."""

import asyncio
import time
from typing import NamedTuple

from agents.worker.metrics import TICKS
from agents.worker.ownership import working
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock
from schemas.units import SECOND_US, Timestamp
from store.command_log.commands import Addressed, append_commands
from store.markets.due_orders import TickingMarket, read_ticking
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.connect import Connection
from store.session.presence import Task, Work

LOOK_EVERY_US = 200_000


class LastTick(NamedTuple):
    """The last tick of a market: its sequence, and the second of the clock that it carried."""

    seq: int
    second: int


NEVER = LastTick(0, -1)


class Clock(Service):
    """One clock for all markets, by advisory lock; a second one waits.

    A market has at most one tick in flight: the next one is appended when the last one is persisted. So no ticks
    queue while the engine or the broker is down. Nothing is lost: a committed tick is never lost, and the skipped ones
    would all have come after it, at the same state of the market.
    """

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("clock", settings.dsn)
        self._last_ticks: dict[str, LastTick] = {}

    async def serve(self, session: Connection) -> None:
        """Check five times a second: send a tick to all markets when a second begins, else to those with an order due.

        Earlier ticks are forgotten with the session: PostgreSQL may have been restored from a backup.
        """
        self._last_ticks = {}
        await wait_for_lock(session, LockClass.CLOCK)
        with working(Task(Work.CLOCK)):
            while True:
                await self._send_ticks(session, _now())
                await asyncio.sleep((LOOK_EVERY_US - _now() % LOOK_EVERY_US) / SECOND_US)

    async def _send_ticks(self, session: Connection, now: Timestamp) -> None:
        """One round trip to read the markets, and one to append the ticks that are due."""
        markets = [market for market in await read_ticking(session, now) if self._needs_tick(market, now)]
        ticks = [Addressed(market.name, AdvanceClock(now)) for market in markets]
        for market, seq in zip(markets, await append_commands(session, ticks), strict=True):
            if seq is not None:
                self._last_ticks[market.name] = LastTick(seq, now // SECOND_US)
                TICKS.labels(market.name).inc()

    def _needs_tick(self, market: TickingMarket, now: Timestamp) -> bool:
        """Whether a second has begun or an order is due, and the last tick is persisted."""
        last = self._last_ticks.get(market.name, NEVER)
        return market.command_seq >= last.seq and (market.due is not None or now // SECOND_US != last.second)


def _now() -> Timestamp:
    return Timestamp(time.time_ns() // 1_000)
