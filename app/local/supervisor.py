"""Keeps the process tree of a local exchange running, and stops it in order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from msgspec.structs import replace

from agents.worker.retry import Backoff
from app.local.folder_lock import FolderLock
from app.local.process import Child, ChildFailed
from app.local.run_record import RunRecord, forget_run_record, write_run_record

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
HEALTHY_AFTER_S = BACKOFF_MAX_S
"""A child that has run longer than it may have to wait is worth no longer wait."""
READY_TIMEOUT_S = 60.0

Report = Callable[[str], None]


class NotReady(ChildFailed):
    """A child runs, but was not ready in time."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was not ready after {READY_TIMEOUT_S:.0f} s")
        self.name = name


@dataclass
class Kept:
    """A child under supervision."""

    name: str
    child: Child
    tier: int
    watch: "asyncio.Task[None] | None" = None


class Supervisor:
    """Children by name, each restarted when it dies: after 0.2 s, doubling to 5 s, from 0.2 s again after 5 s of running.

    All children die with this process, however it dies (with_parent.py). `report` gets a line, with the time, for each child
    that dies and for each that is started again.
    """

    def __init__(self, folder: Path, report: Report = lambda _: None) -> None:
        self._folder = folder.expanduser().resolve()
        self._report = report
        self._lock = FolderLock(self._folder)
        self._kept: list[Kept] = []
        self._record: RunRecord | None = None

    async def take_folder(self) -> None:
        """Lock the DATA folder before anything in it is touched; raises FolderTaken."""
        await self._lock.acquire()
        forget_run_record(self._folder)

    async def add(
        self,
        name: str,
        child: Child,
        *,
        tier: int = 1,
        requires_ready: Callable[[], Awaitable[bool]] | None = None,
    ) -> str:
        """Start a child, wait until it is ready, keep it running; returns its address. Raises what its first start raises.

        When the tree stops, the highest tier stops first, children of one tier together.
        """
        kept = Kept(name, child, tier)
        self._kept.append(kept)
        address = await child.start()
        kept.watch = asyncio.create_task(self._keep_alive(kept), name=f"watch {name}")
        if requires_ready:
            await _until(requires_ready, name)
        self._write_record()
        return address

    def announce(
        self, *, url: str, database_url: str, broker_url: str, cluster_id: str, session_timeout_s: float
    ) -> None:
        """Write run.json, and keep the children's process ids in it up to date from now on."""
        self._record = RunRecord(os.getpid(), url, database_url, broker_url, cluster_id, {}, session_timeout_s)
        self._write_record()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of every running child."""
        return {kept.name: kept.child.pid for kept in self._kept if kept.child.pid is not None}

    async def stop(self) -> None:
        """Stop every child, highest tier first, and release the folder. A folder of another tree is not touched."""
        for kept in self._kept:
            if kept.watch:
                kept.watch.cancel()
        await asyncio.gather(*(kept.watch for kept in self._kept if kept.watch), return_exceptions=True)
        self._record = None
        if self._lock.is_held:
            forget_run_record(self._folder)
        by_tier = sorted(self._kept, key=lambda kept: -kept.tier)
        for _, together in groupby(by_tier, key=lambda kept: kept.tier):
            await asyncio.gather(*(kept.child.stop() for kept in together))
        self._kept = []
        self._lock.release()

    async def _keep_alive(self, kept: Kept) -> None:
        clock = asyncio.get_running_loop()
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S)
        while True:
            started_s = clock.time()
            pid = kept.child.pid
            code = await kept.child.wait()
            self._say(f"{kept.name}{f' (process {pid})' if pid else ''} {_end_of(code)}")
            if clock.time() - started_s > HEALTHY_AFTER_S:
                backoff.reset()
            await self._start_again(kept, backoff)

    async def _start_again(self, kept: Kept, backoff: Backoff) -> None:
        """Try until it starts."""
        while True:
            await backoff.wait()
            try:
                await kept.child.start()
            except (ChildFailed, OSError) as error:
                self._say(f"{kept.name} did not start: {error}")
            else:
                self._say(f"{kept.name} was started again (process {kept.child.pid})")
                self._record_change()
                return

    def _record_change(self) -> None:
        """A folder that cannot be written, as on a full disk, ends nobody's supervision; the next change is recorded again."""
        try:
            self._write_record()
        except OSError as error:
            self._say(f"run.json keeps the process ids of before: {error}")

    def _say(self, what: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads the reports any more: the children still matter
            self._report(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {what}")

    def _write_record(self) -> None:
        if self._record:
            write_run_record(self._folder, replace(self._record, children=self.pids))


def _end_of(code: int) -> str:
    """How a process ended; a negative exit code is the signal that killed it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


async def _until(requires_ready: Callable[[], Awaitable[bool]], name: str) -> None:
    deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
    while not await requires_ready():
        if asyncio.get_running_loop().time() > deadline:
            raise NotReady(name)
        await asyncio.sleep(0.05)
