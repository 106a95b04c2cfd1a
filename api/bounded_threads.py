"""Threads for work that would hold up the event loop, with a bound on how much waits for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.errors import Refusal
from schemas.refusals import ErrorCode

T = TypeVar("T")


class BoundedThreads:
    """Runs work in `threads` threads; at most `waiting_max` pieces run and wait, others are refused with `too_many`."""

    def __init__(self, name: str, too_many: str, *, threads: int, waiting_max: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._too_many = too_many
        self._waiting_max = waiting_max
        self._waiting = 0

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of the work; OVERLOADED when too many wait."""
        if self._waiting >= self._waiting_max:
            raise Refusal(ErrorCode.OVERLOADED, self._too_many)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the threads; waiting work is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
