"""A worker started by hand with only the DATA of a running exchange ends with that exchange.

The next start may have another address: a worker with the old one would wait for a broker that no longer exists, and
block the exchange from rebuilding on an empty one.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path

from agents.worker.fail_stop import end_at_once
from app.local.run_record import read_run_record

LOOK_EVERY_S = 1.0
STOP_WITHIN_S = 3.0  # work at a lost broker may never end
EXIT_BROKER_GONE = 75  # sysexits.h EX_TEMPFAIL: start it again

log = logging.getLogger(__name__)


async def work_attached(work: Awaitable[None], folder: Path, broker_url: str) -> None:
    """Run a worker until it ends, or until the exchange in `folder` stops or changes its broker (exit 75)."""
    is_gone = asyncio.Event()
    leaving = asyncio.create_task(_leave_with(folder, broker_url, is_gone))
    try:
        await work
    finally:
        leaving.cancel()
    if is_gone.is_set():
        sys.exit(EXIT_BROKER_GONE)


async def _leave_with(folder: Path, broker_url: str, is_gone: asyncio.Event) -> None:
    while _is_there(folder, broker_url):  # noqa: ASYNC110 - a file and a lock of another process
        await asyncio.sleep(LOOK_EVERY_S)
    log.warning("the exchange in %s has stopped, or has another broker now: this process ends; start it again", folder)
    is_gone.set()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(STOP_WITHIN_S)
    end_at_once(EXIT_BROKER_GONE)


def _is_there(folder: Path, broker_url: str) -> bool:
    record = read_run_record(folder)
    return record is not None and record.broker_url == broker_url
