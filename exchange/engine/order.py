"""An order in the engine."""

from typing import TYPE_CHECKING, Any, Optional

import msgspec

from schemas.orders import Side
from schemas.units import Lots, Micros, Ticks, Timestamp

if TYPE_CHECKING:
    from exchange.engine.price_level import PriceLevel
else:
    PriceLevel = Any  # msgspec resolves annotations at run time, and a price level is made of orders


class Order(msgspec.Struct, gc=False, eq=False, array_like=True):
    """One order. `order_seq` is the sequence of the command that placed it.

    `price` (ticks) is the limit, or the protection price of a market order; `remaining` counts lots. `loss_per_lot`
    (micros) is the loss that margin was reserved for at acceptance. `taker_notional` and `maker_notional` (micros) are what the
    order has traded so far in each role: fees are cumulative. The last three fields are its place in the book.
    """

    order_seq: int
    user: int
    side: Side
    price: Ticks
    remaining: Lots
    reduce_only: bool = False
    loss_per_lot: Micros = Micros(0)
    expires_at: Timestamp | None = None
    taker_notional: Micros = Micros(0)
    maker_notional: Micros = Micros(0)
    level: PriceLevel | None = None
    prev: Optional["Order"] = None
    next: Optional["Order"] = None

    def __repr__(self) -> str:
        return f"<{self.order_seq} of {self.user}: {self.side} {self.remaining} at {self.price}>"
