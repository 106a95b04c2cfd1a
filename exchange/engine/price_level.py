"""One price of the book: the orders that wait there, oldest first.

The queue is a doubly linked list threaded through the orders themselves, so that joining, leaving from the middle and
trading at the front cost the same however long it is, and a resting order is one object. The collector does not look
at these objects (gc=False): whoever leaves the queue cuts his links, so nothing is ever kept alive in a circle.
"""

from typing import Optional

import msgspec

from schemas.orders import Side
from schemas.units import Lots, Micros, Ticks, Timestamp


class Order(msgspec.Struct, gc=False, eq=False, array_like=True):
    """An order as the engine knows it; `number` is the sequence of the command that created it.

    `price` (ticks) is the limit, or the protection of a market order; `remaining` counts lots. `loss_per_lot` (micros)
    is what was margined at acceptance. `taken` and `made` are its notional so far (micros) in either role: fees are
    cumulative. The last three fields are its place in the book.
    """

    number: int
    user: int
    side: Side
    price: Ticks
    remaining: Lots
    reduce_only: bool = False
    loss_per_lot: Micros = Micros(0)
    expires_at: Timestamp | None = None
    taken: Micros = Micros(0)
    made: Micros = Micros(0)
    level: Optional["Level"] = None
    ahead: Optional["Order"] = None
    behind: Optional["Order"] = None

    def __repr__(self) -> str:
        return f"<{self.number} of {self.user}: {self.side} {self.remaining} at {self.price}>"


class Level(msgspec.Struct, gc=False, eq=False):
    """All orders of one side at one price; `lots` is their sum."""

    price: Ticks
    lots: int = 0
    first: Order | None = None
    last: Order | None = None

    def join(self, order: Order) -> None:
        """Put the order behind all others at this price."""
        order.level = self
        order.price = self.price  # the same number, but one object for the whole level
        self.lots += order.remaining
        last = self.last
        if last is None:
            self.first = order
        else:
            last.behind = order
            order.ahead = last
        self.last = order

    def leave(self, order: Order) -> None:
        """Take the order out, wherever it stands, and cut its links."""
        self.lots -= order.remaining
        ahead, behind = order.ahead, order.behind
        if ahead is None:
            self.first = behind
        else:
            ahead.behind = behind
        if behind is None:
            self.last = ahead
        else:
            behind.ahead = ahead
        order.level = order.ahead = order.behind = None
