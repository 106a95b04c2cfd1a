"""The clock: tells a market the time when a live order there is due. The engine itself never looks at a clock."""

import asyncio
import time

from agents.service import Service
from agents.settings import StreamSettings
from schemas.commands import ClockTicked
from schemas.units import Timestamp
from store.advisory_locks import Room, wait_for_lock
from store.commands import append_command
from store.connect import Connection
from store.due_orders import read_due

LOOK_EVERY_S = 0.2
TICK_AGAIN_AFTER_S = 5.0


class Clock(Service):
    """One clock for all markets, by advisory lock; a second one waits."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("clock", settings.dsn)
        self._ticked: dict[str, Timestamp] = {}

    async def serve(self, session: Connection) -> None:
        """Every 200 ms: one tick for each market with due orders that no tick covers yet."""
        await wait_for_lock(session, Room.CLOCK)
        while True:
            await self._tick_where_due(session, Timestamp(time.time_ns() // 1_000))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tick_where_due(self, session: Connection, now: Timestamp) -> None:
        for market, due in (await read_due(session, now)).items():
            if not self._is_covered(market, due, now):
                await append_command(session, market, ClockTicked(now))
                self._ticked[market] = now

    def _is_covered(self, market: str, due: Timestamp, now: Timestamp) -> bool:
        """Whether a tick at or after `due` is on its way; one that has ended nothing for 5 s is sent again."""
        ticked = self._ticked.get(market, Timestamp(0))
        return due <= ticked and now < ticked + TICK_AGAIN_AFTER_S * 1_000_000
