"""The signals of a process: which ones stop it, and which ones it ignores."""

import asyncio
import signal
from collections.abc import Callable

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
"""Their default ends a process at once; log rotation and process managers send them to whatever runs."""


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call `stop` on SIGTERM, Ctrl-C, and when the terminal is closed (SIGHUP); ignore SIGUSR1 and SIGUSR2."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
