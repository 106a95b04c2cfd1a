"""Presence: a process shows that it runs and for which tasks, and workers and a rebuild never run at the same time."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.worker.ownership import tasks_now
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from store.session.advisory_locks import LockClass, share_lock
from store.session.connect import Connection
from store.session.presence import ProcessName, Task, hide_task, show_process, show_task

LOOK_EVERY_S = 0.5


class Presence(Service):
    """Holds its locks as long as the process lives; a lost session is replaced. `is_worker`: it works on the logs."""

    def __init__(self, kind: str, dsn: str, metrics: str = "", *, is_worker: bool = True) -> None:
        super().__init__(ProcessName(kind, socket.gethostname(), os.getpid(), metrics).encode(), dsn)
        self._is_worker = is_worker
        self.is_shown = asyncio.Event()

    async def serve(self, session: Connection) -> None:
        """Take the locks and show the tasks, again and again: a lost session is noticed only when it is used."""
        shown: frozenset[Task] = frozenset()
        while True:
            await show_process(session)
            if not self._is_worker or await share_lock(session, LockClass.WORKERS):
                self.is_shown.set()
            shown = await self._show(session, shown)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _show(self, session: Connection, shown: frozenset[Task]) -> frozenset[Task]:
        tasks = tasks_now()
        for task in shown - tasks:
            await hide_task(session, task)
        for task in tasks - shown:
            await show_task(session, task)
        return tasks


@asynccontextmanager
async def present(kind: str, settings: StreamSettings) -> AsyncIterator[None]:
    """Show a process that works on the logs; waits until no rebuild runs."""
    presence = Presence(kind, settings.dsn, settings.metrics)
    async with _running(presence):
        await presence.is_shown.wait()
        yield


@asynccontextmanager
async def seen(kind: str, dsn: str, metrics: str) -> AsyncIterator[None]:
    """Show a process that does not work on the logs: it need not wait for a rebuild."""
    async with _running(Presence(kind, dsn, metrics, is_worker=False)):
        yield


@asynccontextmanager
async def _running(presence: Presence) -> AsyncIterator[None]:
    await presence.start()
    try:
        yield
    finally:
        await presence.stop()
