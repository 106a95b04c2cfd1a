"""Presence: a process shows that it runs and for which tasks, and workers and a rebuild never run at the same time.

The same session compares the clock of the process with PostgreSQL's, twice a second, and serves the take-over of groups
(agents/worker/membership/take_over.py).
"""

import asyncio
import logging
import math
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agents.worker.fail_stop import EXIT_CLOCK_WRONG, alongside, stop_loudly
from agents.worker.membership.seats import seats
from agents.worker.membership.take_over import TakeOver
from agents.worker.metrics import CLOCK_OFFSET
from agents.worker.ownership import tasks_now
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from store.session.advisory_locks import LockClass, share_lock
from store.session.checked_clock import CheckedClock, ClockIsWrong, ClockOffset
from store.session.connect import Connection
from store.session.presence import ProcessName, Task, hide_task, show_process, show_task

LOOK_EVERY_S = 0.5
SAY_AGAIN_S = 60.0
GOODBYE_S = 0.5
SHOWN_AGAIN_S = 0.01

log = logging.getLogger(__name__)


class Presence(Service):
    """Holds its locks as long as the process lives; a lost session is replaced.

    `is_worker`: it works on the logs. `needs_clock`: it writes times into them, so it ends while its clock is wrong.
    `take_over`: it has seats in consumer groups.
    """

    def __init__(
        self,
        kind: str,
        dsn: str,
        metrics: str = "",
        *,
        is_worker: bool = True,
        needs_clock: bool = False,
        clock: CheckedClock | None = None,
        take_over: TakeOver | None = None,
    ) -> None:
        super().__init__(ProcessName(kind, socket.gethostname(), os.getpid(), metrics).encode(), dsn)
        self._kind = kind
        self._is_worker = is_worker
        self._needs_clock = needs_clock
        self._clock = clock or CheckedClock()
        self._said_at_s = 0.0
        self._take_over = take_over
        self.is_shown = asyncio.Event()

    async def serve(self, session: Connection) -> None:
        """Take the locks, which last as long as the session; check the clock and show the tasks, again and again.

        A session whose connection is lost without a word is noticed only when it is used: the clock is asked over it.
        """
        wake = asyncio.Event()
        session.add_termination_listener(lambda _: wake.set())
        await self._check_clock(session)
        await show_process(session)
        if self._take_over is not None:
            await self._take_over.begin(session)
        with seats.notifying(wake.set):
            await self._serve(session, wake)

    async def _serve(self, session: Connection, wake: asyncio.Event) -> None:
        clock = asyncio.get_running_loop()
        shown: frozenset[Task] = frozenset()
        is_in = not self._is_worker
        check_at_s = clock.time() + LOOK_EVERY_S
        while True:
            wake.clear()
            is_in = is_in or await share_lock(session, LockClass.WORKERS)
            if is_in:
                self.is_shown.set()
            shown = await self._show(session, shown)
            step_s = await self._take_over.step(session) if self._take_over is not None else math.inf
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(step_s, check_at_s - clock.time()))):
                    await wake.wait()
            if clock.time() >= check_at_s or session.is_closed():
                await self._check_clock(session)
                check_at_s = clock.time() + LOOK_EVERY_S

    async def stop(self) -> None:
        """Show that its members have left their groups, so that nobody removes them, then stop."""
        if self._take_over is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    while not self._take_over.is_shown:  # noqa: ASYNC110 - `serve` is at it
                        await asyncio.sleep(SHOWN_AGAIN_S)
            self._take_over.stop()
        await super().stop()

    async def _check_clock(self, session: Connection) -> None:
        before = self._clock.offset
        offset = await self._clock.check(session)
        CLOCK_OFFSET.set(offset.seconds)
        if offset.is_wrong:
            self._report(offset)
            if self._needs_clock:
                stop_loudly(self._kind, ClockIsWrong(offset), EXIT_CLOCK_WRONG)
        elif before.is_wrong:
            self._said_at_s = 0.0
            log.warning("the clock of this machine agrees with PostgreSQL's again: %s", offset)

    def _report(self, offset: ClockOffset) -> None:
        """At once, then each minute."""
        now_s = asyncio.get_running_loop().time()
        if not self._said_at_s or now_s >= self._said_at_s + SAY_AGAIN_S:
            self._said_at_s = now_s
            log.critical(
                "the clock of this machine is %s: no command takes its time from this process until they agree;"
                " correct the clock that is wrong (docs/recover.md, A wrong clock)",
                offset,
            )

    async def _show(self, session: Connection, shown: frozenset[Task]) -> frozenset[Task]:
        tasks = tasks_now()
        for task in shown - tasks:
            await hide_task(session, task)
        for task in tasks - shown:
            await show_task(session, task)
        return tasks


@asynccontextmanager
async def present(kind: str, settings: StreamSettings, *, needs_clock: bool = False) -> AsyncIterator[None]:
    """Show a process that works on the logs; waits until no rebuild runs, and until its clock has been checked."""
    presence = Presence(kind, settings.dsn, settings.metrics, needs_clock=needs_clock, take_over=TakeOver())
    async with _running(presence):
        await presence.is_shown.wait()
        yield


@asynccontextmanager
async def seen(
    kind: str, dsn: str, metrics: str, *, needs_clock: bool = False, clock: CheckedClock | None = None
) -> AsyncIterator[None]:
    """Show a process that does not work on the logs: it need not wait for a rebuild. `clock` is checked for it."""
    async with _running(Presence(kind, dsn, metrics, is_worker=False, needs_clock=needs_clock, clock=clock)):
        yield


@asynccontextmanager
async def _running(presence: Presence) -> AsyncIterator[None]:
    await presence.start()
    try:
        async with alongside(presence.wait(), presence.name):  # or nobody would show this process any more
            yield
    finally:
        await presence.stop()
