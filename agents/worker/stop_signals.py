"""The signals of a process: which ones stop it, and which ones it ignores."""

import asyncio
import signal
from collections.abc import Callable

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
"""Their default ends a process at once; log rotation and process managers send them to whatever runs."""


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call `stop` on SIGTERM, on Ctrl-C, and on SIGHUP (the terminal is closed) unless the process was started to ignore it."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` has a process ignore SIGHUP
            loop.add_signal_handler(number, stop)


def ignore_user_signals() -> None:
    """Ignore SIGUSR1 and SIGUSR2, from the first moment of a process on."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
