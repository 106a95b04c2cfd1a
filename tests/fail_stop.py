"""A worker hosted by a test that stops its process: the test fails with the reason, and the run goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import pytest

from agents.worker import fail_stop, host


class WorkerStopped(BaseException):
    """In place of the end of the process; no worker catches it."""


@asynccontextmanager
async def failing_the_test() -> AsyncIterator[None]:
    """In the block, a worker that stops the process fails the test. The reason is in the note, and in the log with its traceback."""
    task = asyncio.current_task()
    assert task is not None
    notes: list[str] = []

    def stop_loudly(worker: str, error: BaseException | None, code: int = fail_stop.EXIT_WRONG) -> NoReturn:
        fail_stop.log.critical("%s stops the process, exit code %d", worker, code, exc_info=error)
        if not notes:
            task.cancel()
        notes.append(f"{worker} stops the process, exit code {code}: {error!r}")
        raise WorkerStopped(notes[-1])

    with pytest.MonkeyPatch.context() as patch:
        for module in (fail_stop, host):
            patch.setattr(module, "stop_loudly", stop_loudly)
        try:
            yield
        except asyncio.CancelledError as cancelled:
            if not notes:
                raise
            task.uncancel()
            raise AssertionError("; ".join(notes)) from cancelled
    assert not notes, "; ".join(notes)
