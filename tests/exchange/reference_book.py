"""The obvious book: one list in order of arrival, searched and sorted again for every question."""

from collections.abc import Iterator

from exchange.engine.order import Order
from schemas.orders import Side
from schemas.units import Lots, Ticks


class ReferenceBook:
    """What exchange.engine.book.Book must do, in as few thoughts as possible."""

    def __init__(self) -> None:
        self.waiting: list[Order] = []

    def __len__(self) -> int:
        return len(self.waiting)

    def find(self, number: int) -> Order | None:
        """The resting order of this number."""
        return next((order for order in self.waiting if order.order_seq == number), None)

    def add(self, order: Order) -> None:
        """Let the order wait."""
        self.waiting.append(order)

    def reduce(self, order: Order, lots: int) -> None:
        """Take lots off; with the last one the order leaves."""
        order.remaining = Lots(order.remaining - lots)
        if not order.remaining:
            self.remove(order)

    def remove(self, order: Order) -> None:
        """Take the order out."""
        self.waiting.remove(order)

    def best(self, side: Side) -> Order | None:
        """The order that trades next."""
        return next(self.walk(side), None)

    def walk(self, side: Side) -> Iterator[Order]:
        """Best price first, then first come first served (sorting keeps the order of equals)."""
        orders = [order for order in self.waiting if order.side is side]
        return iter(sorted(orders, key=lambda order: -side.sign * order.price))

    def depth(self, side: Side) -> Iterator[tuple[Ticks, int]]:
        """Price and lots, best price first."""
        prices = dict.fromkeys(order.price for order in self.walk(side))
        return ((price, sum(o.remaining for o in self.walk(side) if o.price == price)) for price in prices)
