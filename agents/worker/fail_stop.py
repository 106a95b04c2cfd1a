"""How a process ends: cleanly on a signal; or by fail-stop, in every state that must not continue. The supervisor restarts it, and it recovers."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import NoReturn

EXIT_WRONG = 70  # sysexits.h EX_SOFTWARE: a bug of ours, or the log is not ours
EXIT_CRASHED = 72  # a Faust app or a service ended without being stopped
EXIT_CLOCK_WRONG = 74  # the clock of this machine differs from PostgreSQL's

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
"""Their default ends a process at once; log rotation and process managers send them to whatever runs."""

log = logging.getLogger(__name__)


def stop_loudly(worker: str, error: BaseException | None, code: int = EXIT_WRONG) -> NoReturn:
    """Log the error with its traceback and end the process at once, with nothing acknowledged and nothing flushed.

    Raising is not enough: Faust acknowledges the record of an agent that raised, and continues with the next one.
    """
    log.critical("%s stops the process, exit code %d", worker, code, exc_info=error)
    end_at_once(code)


def end_at_once(code: int = 0) -> NoReturn:
    """End the process regardless of its threads; only the log is flushed."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(code)


async def fail_fast(work: Awaitable[None], worker: str) -> None:
    """Await a callback of Faust; any exception ends the process."""
    try:
        await work
    except GeneratorExit:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or not task.cancelling():  # nobody cancelled this task: the error leaked out of a call
            stop_loudly(worker, error)
        raise
    except BaseException as error:  # noqa: BLE001 - the top of a worker; MemoryError included
        stop_loudly(worker, error)


@asynccontextmanager
async def alongside(work: Coroutine[None, None, None], worker: str) -> AsyncIterator[None]:
    """Do something as long as the block lasts; an exception in it ends the process."""
    task = asyncio.create_task(fail_fast(work, worker))
    try:
        yield
    finally:
        task.cancel()


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call `stop` on SIGTERM, on SIGINT, and on SIGHUP (the terminal is closed) unless the process was started to ignore that."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        is_nohup = number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
        if not is_nohup:  # a shell has its background jobs ignore SIGINT: sent on purpose, it still stops them
            loop.add_signal_handler(number, stop)


def ignore_user_signals() -> None:
    """Ignore SIGUSR1 and SIGUSR2, from the first moment of a process on."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
