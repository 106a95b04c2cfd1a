"""The clock: tells every market the time once a second, and at once where a live order is due. The engine has no clock."""

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
    """The last tick of a market: its sequence, and the second of the clock that it told."""

    seq: int
    second: int


NEVER = LastTick(0, -1)


class Clock(Service):
    """One clock for all markets, by advisory lock; a second one waits.

    A market has one tick under way at most: the next one is appended when the last one is persisted. So nothing
    queues while the engine or the broker is down, and nothing is lost by it: a tick that is committed is never lost, and
    those left out would all have come after it, at the same state of the market.
    """

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("clock", settings.dsn)
        self._last_ticks: dict[str, LastTick] = {}

    async def serve(self, session: Connection) -> None:
        """Look five times a second, on the second: all markets are told that it has come, others that an order is due.

        What is known of earlier ticks ends with the session: PostgreSQL may come back from a backup.
        """
        self._last_ticks = {}
        await wait_for_lock(session, LockClass.CLOCK)
        with working(Task(Work.CLOCK)):
            while True:
                await self._tell_time(session, _now())
                await asyncio.sleep((LOOK_EVERY_US - _now() % LOOK_EVERY_US) / SECOND_US)

    async def _tell_time(self, session: Connection, now: Timestamp) -> None:
        """One round trip to look, and one to tell all markets that have to know."""
        markets = [market for market in await read_ticking(session, now) if self._has_to_know(market, now)]
        ticks = [Addressed(market.name, AdvanceClock(now)) for market in markets]
        for market, seq in zip(markets, await append_commands(session, ticks), strict=True):
            if seq is not None:
                self._last_ticks[market.name] = LastTick(seq, now // SECOND_US)
                TICKS.labels(market.name).inc()

    def _has_to_know(self, market: TickingMarket, now: Timestamp) -> bool:
        """Whether a second has begun or an order is due, and the last tick is persisted."""
        last = self._last_ticks.get(market.name, NEVER)
        return market.command_seq >= last.seq and (market.due is not None or now // SECOND_US != last.second)


def _now() -> Timestamp:
    return Timestamp(time.time_ns() // 1_000)
