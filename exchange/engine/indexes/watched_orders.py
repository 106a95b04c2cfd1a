"""The resting orders of the accounts that have had a timer (docs/semantics.md, "Dead-man's switch")."""

from exchange.engine.order import Order


class WatchedOrders:
    """The orders of each watched account by number. An order of any other account costs nothing here.

    An account stays watched when its timer is gone: setting it again does not look through the book again. Which accounts are
    watched changes no event.
    """

    __slots__ = ("by_user",)

    def __init__(self) -> None:
        self.by_user: dict[int, dict[int, Order]] = {}

    def add(self, order: Order) -> None:
        """Record the order with its account."""
        self.by_user[order.user][order.order_seq] = order

    def reduce(self, order: Order, lots: int) -> None:
        """A smaller order is the same."""

    def remove(self, order: Order) -> None:
        """Forget the order; its account stays."""
        del self.by_user[order.user][order.order_seq]
