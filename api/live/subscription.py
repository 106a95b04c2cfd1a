"""A subscription of a connection, public or private."""

from collections.abc import Callable, Iterable

from api.live.feeds.subscribers import Line
from api.live.outgoing import Key


class Subscription:
    """Lasts until it is cancelled. `key` names it among those of the connection."""

    def __init__(self, line: Line, key: Key, ends: Iterable[Callable[[], None]]) -> None:
        self.key = key
        self._line = line
        self._ends = list(ends)

    def cancel(self) -> None:
        """Send nothing more of it, also of what waits."""
        ends, self._ends = self._ends, []
        for end in ends:
            end()
        self._line.forget(self.key)
