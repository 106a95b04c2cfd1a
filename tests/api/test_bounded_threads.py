"""Work in threads: the event loop goes on meanwhile, and what waits for it is bounded."""

import asyncio
import threading

import pytest

from api.bounded_threads import BoundedThreads
from api.errors import Refusal
from schemas.refusals import ErrorCode


def one_thread(waiting_max: int = 64) -> BoundedThreads:
    """As previews have it."""
    return BoundedThreads("preview", "too many", threads=1, waiting_max=waiting_max)


async def test_the_event_loop_goes_on_meanwhile() -> None:
    """Work that waits for the event loop ends."""
    thread, gate = one_thread(), threading.Event()
    working = asyncio.create_task(thread.run(lambda: gate.wait(30) and threading.current_thread().name))
    await asyncio.sleep(0)
    gate.set()
    assert str(await working).startswith("preview")
    thread.close()


async def test_too_many_that_wait_are_refused() -> None:
    """The third of two; when one is done, there is room again. A failure is the caller's, and frees its place."""
    thread, gate = one_thread(waiting_max=2), threading.Event()
    working = [asyncio.create_task(thread.run(lambda: gate.wait(30))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Refusal) as refused:
        await thread.run(lambda: None)
    assert refused.value.code is ErrorCode.OVERLOADED
    gate.set()
    assert await asyncio.gather(*working) == [True, True]
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 5) == 5
    thread.close()
