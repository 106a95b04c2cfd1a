"""Connections write a few at a time: a message to a thousand of them does not hold up an order, whose answers are read in between."""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 64
"""Connections that begin to write in one turn of the loop."""


class WriteTurns:
    """Whose turn it is, for all connections of a process: the next that asks, at once where few do."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._begun = 0
        """Connections that have begun to write in this turn of the loop."""
        self._next: asyncio.Handle | None = None

    def ask(self, begin: Callable[[], None]) -> None:
        """Call `begin`, now or in a later turn of the loop."""
        if self._waiting or self._begun == AT_ONCE:
            self._waiting.append(begin)
        else:
            self._begin(begin)

    def _begin(self, begin: Callable[[], None]) -> None:
        begin()
        self._begun += 1
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._next, self._begun = None, 0
        while self._waiting and self._begun < AT_ONCE:
            self._begin(self._waiting.popleft())
