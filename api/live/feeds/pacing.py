"""What changes often is sent at most five times a second: the newest, and always the last."""

import asyncio
from collections.abc import Callable

EVERY_S = 0.2


class Paced:
    """Calls `send` after `touch`: at once, or when a fifth of a second has passed since the last call."""

    def __init__(self, send: Callable[[], None], every_s: float = EVERY_S) -> None:
        self._send = send
        self._every_s = every_s
        self._sent_at_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """There is something to send."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._sent_at_s + self._every_s - loop.time()
        if wait_s > 0:
            self._timer = loop.call_later(wait_s, self._call)
        else:
            self._call()

    def cancel(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call(self) -> None:
        self._timer = None
        self._sent_at_s = asyncio.get_running_loop().time()
        self._send()
