"""Which order expires next."""

from collections.abc import Iterator

from sortedcontainers import SortedList

from exchange.engine.order import Order
from schemas.units import Timestamp


class Expiries:
    """The resting orders that have an expiry, earliest first, of equals the oldest order."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: SortedList[tuple[int, int]] = SortedList()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._queue)

    def first_due(self, now: Timestamp) -> int | None:
        """Sequence number of the order to expire first, if its time has come."""
        if self._queue and self._queue[0][0] <= now:
            order_seq: int = self._queue[0][1]
            return order_seq
        return None

    def add(self, order: Order) -> None:
        """Note when the order expires."""
        self._queue.add((order.expires_at, order.order_seq))

    def reduce(self, order: Order, lots: int) -> None:
        """A smaller order expires at the same time."""

    def remove(self, order: Order) -> None:
        """Forget the order."""
        self._queue.remove((order.expires_at, order.order_seq))
