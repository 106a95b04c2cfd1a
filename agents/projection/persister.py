"""Persists what waits in all markets of a process: one session, and one transaction for many markets at a time."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Protocol

from structlog.contextvars import unbind_contextvars

from agents.worker.database import DATABASE_ERRORS, ask_once, away
from agents.worker.halting import check_log_is_known
from agents.worker.retry import Backoff
from agents.worker.settings import StreamSettings
from broker.event_records import LoggedRecord
from schemas.topics import projection_app_id
from store.crash_points import CrashPoint, passing
from store.projection import MarketBatch, Projections, ProjectionStopped, RowsLocked
from store.session.connect import Connection, StoreUnavailable, connect_writer

EVENTS_MAX = 1_000
PAUSE_AN_EVENT_S = 0.00015
PAUSE_MAX_S = 0.02
CHECKS_MAX = 4
"""How many markets are checked at the same time after a new session, each over a connection of its own."""

log = logging.getLogger(__name__)


class PersistedMarket(Protocol):
    """A market as the persister needs it."""

    @property
    def market(self) -> str:
        """Its name."""

    def waiting(self) -> Iterator[LoggedRecord]:
        """The records to persist next, in order; they wait until `settle`."""

    def settle(self, count: int, outcome: int | ProjectionStopped) -> None:
        """What became of the first `count` of them; raises ProjectionStopped when the market cannot go on."""

    def step(self) -> None:
        """PostgreSQL or the broker has answered, or is unavailable: this is not a stall."""


class _Member:
    """A market that is served: how it ends, and the session for which its log was last found to be known.

    While another session holds its rows, it has a back-off, and is tried alone when it `is_due`.
    """

    def __init__(self, market: PersistedMarket) -> None:
        self.market = market
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.known_to = 0
        self.checking: asyncio.Task[None] | None = None
        self.held_up: Backoff | None = None
        self.is_due = False

    def fail(self, error: BaseException) -> None:
        """Let `serve` raise this."""
        if not self.ended.done():
            self.ended.set_exception(error)


class Persister:
    """Serves the markets of a process. One that cannot go on is left out, and waits or fails alone."""

    def __init__(self, settings: StreamSettings, name: str = "projection") -> None:
        self.name = name
        self._settings = settings
        self._projections = Projections(self._connect)
        self._members: dict[PersistedMarket, _Member] = {}
        self._waiting: dict[PersistedMarket, None] = {}  # in the order of their turns
        self._has_come = asyncio.Event()
        self._checks = asyncio.Semaphore(CHECKS_MAX)
        self._working: asyncio.Task[None] | None = None

    def wake(self, market: PersistedMarket) -> None:
        """A record of this market waits."""
        self._waiting[market] = None
        self._has_come.set()

    def fail(self, market: PersistedMarket, error: BaseException) -> None:
        """Let `serve` of this market raise this."""
        if (member := self._members.get(market)) is not None:
            member.fail(error)

    async def serve(self, market: PersistedMarket) -> None:
        """Persist the market's records until cancelled; raises why it cannot go on, or why nothing can."""
        member = self._members[market] = _Member(market)
        self.wake(market)
        if self._working is None or self._working.done():
            context = copy_context()
            context.run(unbind_contextvars, "market")  # its log lines are of no single market
            self._working = asyncio.create_task(self._work(), name=self.name, context=context)
            self._working.add_done_callback(self._fail_all)
        try:
            await member.ended
        finally:
            del self._members[market]
            if member.checking is not None:
                member.checking.cancel()

    async def close(self) -> None:
        """End the work and the session, unless a market is still served."""
        if self._members:
            return
        working, self._working = self._working, None
        if working is not None:
            working.cancel()
            await asyncio.wait([working])
        await self._projections.close()

    async def _work(self) -> None:
        """1 wait, 2 take what waits, 3 persist it and let each market acknowledge its own, 4 try one that is held up, 5 pause.

        A market whose rows another session holds holds up the others for one try of it, and they come in between two.
        """
        backoff = Backoff()
        while True:
            await self._has_come.wait()  # 1
            self._has_come.clear()
            try:
                ready, pause_s = self._ready(await self._projections.open()), 0.0
                if batches := self._next_batches([each for each in ready if each.held_up is None]):  # 2
                    await self._persist(batches)  # 3
                    pause_s = pause_after(batches.values())
                due = [each for each in ready if each.held_up is not None and each.is_due]
                if batches := self._next_batches(due[:1]):  # 4
                    await self._persist(batches, waits_briefly=True)
            except StoreUnavailable as error:
                log.warning("%s waits for PostgreSQL: %r", self.name, error)
                for market in self._members:
                    market.step()  # an outage is not a stall
                self._has_come.set()
                await backoff.wait()
            else:
                backoff.reset()
                await asyncio.sleep(pause_s)  # 5

    async def _persist(self, batches: dict[_Member, list[LoggedRecord]], *, waits_briefly: bool = False) -> None:
        asked = [
            MarketBatch(member.market.market, [each.record for each in logged], [each.at for each in logged])
            for member, logged in batches.items()
        ]
        outcomes = await self._projections.apply(asked, waits_briefly=waits_briefly)
        passing(CrashPoint.AFTER_PROJECTION_BEFORE_OFFSET)
        for (member, logged), outcome in zip(batches.items(), outcomes, strict=True):
            if self._members.get(member.market) is not member:
                continue  # it has left; its records come again to the next owner, who drops them
            self._waiting.pop(member.market, None)
            self.wake(member.market)  # after the others, with what is left
            if isinstance(outcome, RowsLocked):
                self._hold_up(member, outcome)
                continue
            if member.held_up is not None:
                member.held_up = None
                log.info("%s goes on", member.market.market, extra={"market": member.market.market})
            try:
                member.market.settle(len(logged), outcome)
            except ProjectionStopped as error:
                member.fail(error)

    def _hold_up(self, member: _Member, why: RowsLocked) -> None:
        """Let the market wait alone for a while."""
        market = member.market
        market.step()  # PostgreSQL has answered
        if member.held_up is None:
            member.held_up = Backoff()
            log.error("%s waits: %s", self.name, why, extra={"market": market.market})
        member.is_due = False
        asyncio.get_running_loop().call_later(member.held_up.next(), self._try_again, member)

    def _try_again(self, member: _Member) -> None:
        member.is_due = True
        self.wake(member.market)

    def _ready(self, session: int) -> list[_Member]:
        """The markets that wait and may be written over this session, in the order of their turns."""
        ready: list[_Member] = []
        for market in list(self._waiting):
            member = self._members.get(market)
            if member is None or member.ended.done():
                del self._waiting[market]
            elif self._is_known(member, session):
                ready.append(member)
        return ready

    def _next_batches(self, members: list[_Member]) -> dict[_Member, list[LoggedRecord]]:
        """At most 1,000 events over all these markets, but at least one record; a record of each in turn."""
        batches: dict[_Member, list[LoggedRecord]] = {}
        turns = deque((member, member.market.waiting()) for member in members)
        events = 0
        while turns:
            member, records = turns.popleft()
            logged = next(records, None)
            if logged is None:
                if member not in batches:
                    del self._waiting[member.market]
                continue
            size = len(logged.record.events)
            if batches and events + size > EVENTS_MAX:
                continue  # the next batch begins with the markets that this one left out
            events += size
            batches.setdefault(member, []).append(logged)
            turns.append((member, records))
        return batches

    def _is_known(self, member: _Member, session: int) -> bool:
        """Whether the market may be written over this session; if it is not known yet, it is being checked.

        The check is made for every new session: it may be the first one after a restore.
        """
        if member.known_to != session and member.checking is None:
            member.checking = asyncio.create_task(self._check(member, session))
            member.checking.add_done_callback(partial(self._checked, member))
        return member.known_to == session

    async def _check(self, member: _Member, session: int) -> None:
        """Raises MarketHalted or UnknownCommand; waits through an outage, which may be of this market's topic alone."""
        backoff, market = Backoff(), member.market
        while member.known_to != session:
            try:
                async with self._checks:
                    await ask_once(
                        self._settings.dsn,
                        projection_app_id(market.market),
                        lambda asked: check_log_is_known(asked, self._settings.bootstrap, market.market),
                    )
                member.known_to = session
            except DATABASE_ERRORS as error:
                if not away(error):
                    raise
                log.warning("%s waits to be checked: %r", market.market, error, extra={"market": market.market})
                market.step()
                await backoff.wait()

    def _checked(self, member: _Member, done: asyncio.Task[None]) -> None:
        """The market may be written, or be checked for the session that has begun meanwhile."""
        member.checking = None
        if done.cancelled():
            return
        if error := done.exception():
            member.fail(error)
        else:
            self.wake(member.market)

    def _fail_all(self, working: asyncio.Task[None]) -> None:
        """What ends the work ends that of all markets: nothing says whose fault it is."""
        error = None if working.cancelled() else working.exception()
        if error is not None:
            for member in self._members.values():
                member.fail(error)

    async def _connect(self) -> Connection:
        return await connect_writer(self._settings.dsn, self.name)


def pause_after(persisted: Iterable[list[LoggedRecord]]) -> float:
    """Seconds to let records gather after a transaction; 0 after a full one: more are waiting already.

    A transaction costs as much as thirty orders in it. After one of a single order the next waits less than a millisecond; under
    load one holds the records of all markets.
    """
    events = sum(len(logged.record.events) for records in persisted for logged in records)
    return 0.0 if events >= EVENTS_MAX // 2 else min(PAUSE_MAX_S, events * PAUSE_AN_EVENT_S)
