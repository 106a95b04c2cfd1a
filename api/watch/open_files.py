"""Notices that the process has reached its limit of open files: new connections are then closed without an answer.

The event loop (uvloop) closes them by itself and reports nothing, so this tries to open a file every second.
"""

import asyncio
import errno
import logging
import os
import resource

from prometheus_client import Counter

LOOK_EVERY_S = 1.0
LOG_EVERY = 10  # looks
REACHED = Counter("perpetua_api_file_limit_reached", "Seconds in which the process could open no file or connection")

log = logging.getLogger(__name__)


async def watch_open_files() -> None:
    """Look every second until cancelled; counts each second at the limit, and logs the first and every tenth."""
    reached = 0
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        reached = reached + 1 if is_limit_reached() else 0
        if not reached:
            continue
        REACHED.inc()
        if reached % LOG_EVERY == 1:
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            log.error("all %d files that this process may open are open: new connections are closed at once", limit)


def is_limit_reached() -> bool:
    """Whether the process, or the whole system, can open no further file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            raise
        return True
    return False
