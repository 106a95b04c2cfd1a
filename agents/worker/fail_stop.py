"""Stopping loudly: the way out of every state that must not go on. The supervisor restarts, recovery is the only start."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable
from typing import NoReturn

EXIT_WRONG = 70  # sysexits.h EX_SOFTWARE: we are wrong, or the log is not ours
EXIT_CRASHED = 72  # a Faust app or a service ended by itself

log = logging.getLogger(__name__)


def stop_loudly(worker: str, error: BaseException | None, code: int = EXIT_WRONG) -> NoReturn:
    """Log with the traceback and end the process at once, nothing acknowledged, nothing flushed.

    A raised exception would not do: Faust acknowledges the record of an agent that raised, and continues with the next one.
    """
    log.critical("%s stops the process, exit code %d", worker, code, exc_info=error)
    end_at_once(code)


def end_at_once(code: int = 0) -> NoReturn:
    """End the process whatever its threads do; only the log is flushed."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(code)


async def fail_fast(work: Awaitable[None], worker: str) -> None:
    """Await what Faust has called us for; anything it raises ends the process."""
    try:
        await work
    except GeneratorExit:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or not task.cancelling():  # nobody cancels us: it leaked out of what we called
            stop_loudly(worker, error)
        raise
    except BaseException as error:  # noqa: BLE001 - the top of a worker; MemoryError included
        stop_loudly(worker, error)
