"""The stall watchdog: an owner with pending work that makes no progress ends its process, so that another can take over.

It watches progress, never how long something takes. A recovery of an hour that advances is left alone, and so is an
owner that waits for an unavailable broker or database, or for a halted market.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from agents.worker.database import DATABASE_ERRORS
from agents.worker.ownership import tasks_now
from store.session.presence import Task

LOOK_EVERY_S = 1.0
ASK_WITHIN_S = 5.0
QUIET_SHARE = 3  # a third of the patience passes before has_work is asked


class OwnerStalled(Exception):
    """The owner of a market has not advanced for `seconds`, although it has pending work."""

    def __init__(self, task: Task, seconds: float) -> None:
        super().__init__(f"{task.work} of {task.market} owns the market and has not advanced for {seconds:g} s")
        self.task = task
        self.seconds = seconds


class StepCounter:
    """Counts a worker's progress: per record, batch or recovery step, never per command."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> None:
        """Count one step of progress."""
        self.steps += 1


class StallWatchdog:
    """Watches one worker of one market.

    `advance`: any value that changes with the worker's progress. `has_work`: whether the worker has pending work; it
    must ask both the broker and the database.
    """

    def __init__(
        self, task: Task, patience_s: float, advance: Callable[[], object], has_work: Callable[[], Awaitable[bool]]
    ) -> None:
        self._task = task
        self._patience_s = patience_s
        self._advance = advance
        self._has_work = has_work

    async def watch(self) -> None:
        """Check every second, until OwnerStalled.

        Checks are counted, not seconds: a blocked loop or a frozen process has had no chance to advance. The count starts
        again when the broker or the database is unavailable, or when there is no pending work.
        """
        looks, last = 0, None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._advance() if self._task in tasks_now() else None
            looks = looks + 1 if now is not None and now == last else 0
            last = now
            if looks * LOOK_EVERY_S * QUIET_SHARE < self._patience_s:
                continue
            if not await self._has_pending_work():
                looks = 0
            elif looks * LOOK_EVERY_S >= self._patience_s and self._advance() == last:
                raise OwnerStalled(self._task, self._patience_s)

    async def _has_pending_work(self) -> bool:
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                return await self._has_work()
        except (*DATABASE_ERRORS, KafkaError):
            return False
