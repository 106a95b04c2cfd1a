"""The resting reduce-only orders, by account."""

from exchange.engine.order import Order
from schemas.orders import Side


class ReduceOnlyGroup:
    """The resting reduce-only orders of one account, all on the side that reduces its position; `lots` is their sum."""

    __slots__ = ("lots", "orders", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.lots = 0
        self.orders: dict[int, Order] = {}


class ReduceOnlyOrders:
    """The groups of all accounts that have such orders."""

    __slots__ = ("groups",)

    def __init__(self) -> None:
        self.groups: dict[int, ReduceOnlyGroup] = {}

    def add(self, order: Order) -> None:
        """Put a reduce-only order into its account's group."""
        group = self.groups.get(order.user)
        if group is None:
            group = self.groups[order.user] = ReduceOnlyGroup(order.side)
        group.orders[order.order_seq] = order
        group.lots += order.remaining

    def reduce(self, order: Order, lots: int) -> None:
        """Keep the sum of the group."""
        self.groups[order.user].lots -= lots

    def remove(self, order: Order) -> None:
        """Take the order out of its group; drop an empty group."""
        group = self.groups[order.user]
        del group.orders[order.order_seq]
        group.lots -= order.remaining
        if not group.orders:
            del self.groups[order.user]
