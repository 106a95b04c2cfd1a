"""The stall watchdog: an owner that gets nowhere although its log waits for it ends its process, so that another can take over.

What is watched is progress, never how long something takes: a recovery of an hour that advances is left alone, and so is
whoever waits for a broker or a database that is away, or for a market that is halted.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from agents.worker.database import DATABASE_ERRORS
from agents.worker.ownership import tasks_now
from store.session.presence import Task

LOOK_EVERY_S = 1.0
ASK_WITHIN_S = 5.0
QUIET_SHARE = 3  # of the patience, one part goes by before anybody is asked


class OwnerStalled(Exception):
    """The owner of a market has not advanced for so many seconds, though its log waits for it."""

    def __init__(self, task: Task, seconds: float) -> None:
        super().__init__(f"{task.work} of {task.market} owns the market and has not advanced for {seconds:g} s")
        self.task = task
        self.seconds = seconds


class Progress:
    """How often a worker has got on: counted a record, a batch or a step of a recovery, never a command."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> None:
        """It has got on."""
        self.steps += 1


class StallWatchdog:
    """Watches one worker of one market.

    `advance`: anything that differs whenever the worker has got on. `has_work`: whether broker and database, both of
    which it must ask, say that the log waits for this worker.
    """

    def __init__(
        self, task: Task, patience_s: float, advance: Callable[[], object], has_work: Callable[[], Awaitable[bool]]
    ) -> None:
        self._task = task
        self._patience_s = patience_s
        self._advance = advance
        self._has_work = has_work

    async def watch(self) -> None:
        """Look every second, until OwnerStalled.

        Looks are counted, not seconds: a loop that was blocked, or a process that was frozen, has had no chance to advance.
        Where a part is away, or nothing waits, the count begins again.
        """
        looks, last = 0, None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._advance() if self._task in tasks_now() else None
            looks = looks + 1 if now is not None and now == last else 0
            last = now
            if looks * LOOK_EVERY_S * QUIET_SHARE < self._patience_s:
                continue
            if not await self._is_waited_for():
                looks = 0
            elif looks * LOOK_EVERY_S >= self._patience_s and self._advance() == last:
                raise OwnerStalled(self._task, self._patience_s)

    async def _is_waited_for(self) -> bool:
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                return await self._has_work()
        except (*DATABASE_ERRORS, KafkaError):
            return False
