"""The interface of an index over the resting orders. The market decides which orders each index holds."""

from typing import Protocol

from exchange.engine.order import Order


class OrderIndex(Protocol):
    """An index that follows the book. It holds nothing that the orders do not say, so adding them again rebuilds it."""

    def add(self, order: Order) -> None:
        """The order rests in the book from now on."""

    def reduce(self, order: Order, lots: int) -> None:
        """The resting order has lost lots and still rests."""

    def remove(self, order: Order) -> None:
        """The order has left the book; its `remaining` is what it had there."""
