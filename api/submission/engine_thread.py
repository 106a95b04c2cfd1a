"""The thread that runs the engine for previews, so that the event loop never waits for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.errors import Refusal
from schemas.refusals import ErrorCode

T = TypeVar("T")


class EngineThread:
    """Runs one preview at a time; at most `waiting_max` wait. More threads would only share the interpreter with the event loop."""

    def __init__(self, waiting_max: int = 64) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="preview")
        self._waiting_max = waiting_max
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """The result of the work; OVERLOADED when too many wait."""
        if self._waiting >= self._waiting_max:
            raise Refusal(ErrorCode.OVERLOADED, "too many previews are waiting; try again shortly")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the thread; waiting work is dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)
