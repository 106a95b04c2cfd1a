"""Exponential back-off between tries: the wait doubles each time, up to a limit."""

import asyncio

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0


class Backoff:
    """The waits of one caller; the default bounds are those for an outage of PostgreSQL or the broker."""

    def __init__(self, first_s: float = FIRST_WAIT_S, longest_s: float = LONGEST_WAIT_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    async def wait(self) -> None:
        """Sleep before the next try."""
        await asyncio.sleep(self.next())

    def next(self) -> float:
        """Seconds to wait before the next try."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s

    def reset(self) -> None:
        """Start again with the shortest wait."""
        self._next_s = self._first_s
