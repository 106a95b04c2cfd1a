"""Which order expires next."""

from collections.abc import Iterator
from typing import Protocol

from sortedcontainers import SortedList

from schemas.units import Timestamp

NEVER = 2**63
"""Later than any time in microseconds."""


class Expiring(Protocol):
    """An order with an expiry."""

    @property
    def order_seq(self) -> int:
        """Its number."""

    @property
    def expires_at(self) -> Timestamp | None:
        """When it expires."""


class Expiries:
    """The resting and waiting orders that have an expiry, earliest first, of equals the oldest order.

    `first_at` is when the first of them expires, NEVER if there is none: every command compares it with the clock.
    """

    __slots__ = ("_queue", "first_at")

    def __init__(self) -> None:
        self._queue: SortedList[tuple[int, int]] = SortedList()
        self.first_at: int = NEVER

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._queue)

    @property
    def first(self) -> int:
        """Sequence number of the order that expires first; IndexError if there is none."""
        order_seq: int = self._queue[0][1]
        return order_seq

    def add(self, order: Expiring) -> None:
        """Record when the order expires."""
        self._queue.add((order.expires_at, order.order_seq))
        self._update_first()

    def reduce(self, order: Expiring, lots: int) -> None:
        """A smaller order expires at the same time."""

    def remove(self, order: Expiring) -> None:
        """Forget the order."""
        self._queue.remove((order.expires_at, order.order_seq))
        self._update_first()

    def _update_first(self) -> None:
        self.first_at = self._queue[0][0] if self._queue else NEVER
