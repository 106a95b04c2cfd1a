"""The clock: sends every market the time while time can change it, and when an order or a timer is due. The engine has no clock."""

import asyncio
from typing import NamedTuple

from agents.worker.metrics import TICKS
from agents.worker.ownership import working
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock
from schemas.units import MINUTE_US, SECOND_US, Timestamp
from store.command_log.announcements import Announcements
from store.command_log.commands import Addressed, append_commands
from store.markets.due_orders import TickingMarket, read_ticking
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.checked_clock import machine_time
from store.session.connect import Connection
from store.session.presence import Task, Work

LOOK_EVERY_US = 200_000
"""Looks are at fifths of a second: on the second for all markets, in between for orders and timers that are due."""
HEARD_MAX = 2
"""After so many fifths of a second with commands in them the clock listens no more, until the next second."""


class LastTick(NamedTuple):
    """The last tick of a market: its sequence, and the second of the clock that it carried."""

    seq: int
    second: int


NEVER = LastTick(0, -1)


class Clock(Service):
    """One clock for all markets, by advisory lock; a second one waits.

    A market is ticked each second while seconds can change it, else on the minute: samples and fundings are of whole minutes.
    It has at most one tick in flight: the next one is appended when the last one is persisted. So no ticks queue while the
    engine or the broker is down. Nothing is lost: a committed tick is never lost, and the skipped ones would all have come
    after it, at the same state of the market.
    """

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("clock", settings.dsn)
        self._last_ticks: dict[str, LastTick] = {}
        self._looked_at_second = -1

    async def serve(self, session: Connection) -> None:
        """Look at all markets when a second begins, and in between when something is due or a command may have brought it.

        1. With the second, begin to listen for commands: before the look, so that none is missed.
        2. Look.
        3. Wait for the next second, or the fifth of it after what is due or a command.
        4. Where commands keep coming, stop to listen: until the second ends, each fifth is looked at.

        Earlier ticks are forgotten with the session: PostgreSQL may have been restored from a backup. Where notifications
        are lost, what is due within a second of its acceptance may wait for the end of that second.
        """
        self._last_ticks, self._looked_at_second = {}, -1
        await wait_for_lock(session, LockClass.CLOCK)
        announcements, heard, second = Announcements(session), 0, -1
        with working(Task(Work.CLOCK)):
            while True:
                now = machine_time()
                if now // SECOND_US != second:
                    second, heard = now // SECOND_US, 0
                    await announcements.listen()  # 1
                wake_at = await self._look(session, now)  # 2
                if heard > HEARD_MAX:
                    await announcements.ignore()  # 4
                    wake_at = now
                heard += await self._pause(wake_at, announcements)  # 3

    async def _look(self, session: Connection, now: Timestamp) -> Timestamp | None:
        """One round trip to read the markets, and one to append the ticks that are due; returns what to wake for within a second.

        That is what is due next, or now, if the last tick of a market is not persisted: then all are looked at again.
        """
        is_new_second = now // SECOND_US != self._looked_at_second
        markets = await read_ticking(session, now, Timestamp(now + SECOND_US), only_due=not is_new_second)
        free = [market for market in markets if market.command_seq >= self._last_tick(market).seq]
        due = [market for market in free if self._needs_tick(market, now)]
        ticks = [Addressed(market.name, AdvanceClock(now)) for market in due]
        for market, seq in zip(due, await append_commands(session, ticks), strict=True):
            if seq is not None:
                self._last_ticks[market.name] = LastTick(seq, now // SECOND_US)
                TICKS.labels(market.name).inc()
        if len(free) < len(markets):
            return now
        if is_new_second:
            self._looked_at_second = now // SECOND_US
        return min((market.due_at for market in markets if market.due_at is not None), default=None)

    def _last_tick(self, market: TickingMarket) -> LastTick:
        return self._last_ticks.get(market.name, NEVER)

    def _needs_tick(self, market: TickingMarket, now: Timestamp) -> bool:
        """Whether an order or a timer is due, or a second or a minute has begun that counts."""
        if market.due_at is not None and market.due_at <= now:
            return True
        return needs_time(market, self._last_tick(market).second, now // SECOND_US)

    async def _pause(self, wake_at: Timestamp | None, announcements: Announcements) -> bool:
        """Sleep until the next second, or the fifth of it that follows `wake_at` or a command; returns whether one was heard."""
        now = machine_time()
        next_second = Timestamp((now // SECOND_US + 1) * SECOND_US)
        is_heard = False
        if wake_at is None or wake_at > next_second:
            is_heard = await announcements.wait((next_second - now) / SECOND_US)
            wake_at = machine_time() if is_heard else next_second
        fifth = -(-max(wake_at, now + 1) // LOOK_EVERY_US) * LOOK_EVERY_US
        await asyncio.sleep((fifth - machine_time()) / SECOND_US)
        return is_heard


def needs_time(market: TickingMarket, ticked: int, second: int) -> bool:
    """Whether this second must be ticked, when the last tick was in second `ticked`."""
    seconds_a_minute = MINUTE_US // SECOND_US
    return second != ticked and (market.moves_each_second or second // seconds_a_minute != ticked // seconds_a_minute)
