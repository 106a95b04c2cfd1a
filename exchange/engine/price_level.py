"""One price of the book: the orders that rest there, oldest first.

The queue is a doubly linked list: each order holds the links to its neighbours. So appending, unlinking from the middle
and trading at the front cost the same however long the queue is, and a resting order is a single object. The garbage
collector does not track these objects (gc=False): unlinking clears the links, and so does the end of a book, so no cycle
keeps anything alive.
"""

import msgspec

from exchange.engine.order import Order
from schemas.units import Ticks


class PriceLevel(msgspec.Struct, gc=False, eq=False):
    """All orders of one side at one price; `lots` is the sum of what remains of them."""

    price: Ticks
    lots: int = 0
    first: Order | None = None
    last: Order | None = None

    def append(self, order: Order) -> None:
        """Put the order last in the queue."""
        order.level = self
        order.price = self.price  # the same number, but one object for the whole level
        self.lots += order.remaining
        last = self.last
        if last is None:
            self.first = order
        else:
            last.next = order
            order.prev = last
        self.last = order

    def unlink(self, order: Order) -> None:
        """Take the order out, wherever it is in the queue, and clear its links."""
        self.lots -= order.remaining
        before, after = order.prev, order.next
        if before is None:
            self.first = after
        else:
            before.next = after
        if after is None:
            self.last = before
        else:
            after.prev = before
        order.level = order.prev = order.next = None
