"""The order book of one market: which orders rest at which price, and which one trades next.

    sells   levels {61: PriceLevel, 60: PriceLevel}   ranks [-61, -60]   best = the level at 60
    buys    levels {58: PriceLevel, 59: PriceLevel}   ranks [ 58,  59]   best = the level at 59

A price level is the queue of orders at one price, oldest first (exchange/engine/price_level.py). A rank is the price for
a buy and minus the price for a sell: the highest rank trades first on either side. So one class serves both sides, and
the best level is always the last one in `ranks`.

The book only stores orders. It does not check whether prices cross or whether an account would trade with itself:
matching does (exchange/engine/matching.py).

Cost: add, reduce, remove and find take constant time at a price that already has orders. The first order at a price and
the last one to leave it cost a binary search in `ranks`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from exchange.engine.order import Order
from exchange.engine.price_level import PriceLevel
from schemas.orders import Side
from schemas.units import Ticks

_BUY = Side.BUY


class NotResting(Exception):
    """The book was asked to change an order that it does not hold: a bug of ours."""

    def __init__(self, order_seq: int) -> None:
        super().__init__(order_seq)
        self.order_seq = order_seq


class BookSide:
    """The resting buys, or the resting sells, by price."""

    __slots__ = ("best", "levels", "ranks", "sign")

    def __init__(self, side: Side) -> None:
        self.sign = side.sign
        self.levels: dict[int, PriceLevel] = {}
        self.ranks: list[int] = []
        self.best: PriceLevel | None = None

    def open(self, price: Ticks) -> PriceLevel:
        """Create the level of a price that has no orders yet."""
        level = self.levels[price] = PriceLevel(price)
        insort(self.ranks, self.sign * price)
        self.best = self.levels[self.sign * self.ranks[-1]]
        return level

    def close(self, level: PriceLevel) -> None:
        """Drop a level whose last order has left."""
        del self.levels[level.price]
        del self.ranks[bisect_left(self.ranks, self.sign * level.price)]
        self.best = self.levels[self.sign * self.ranks[-1]] if self.ranks else None

    def by_priority(self) -> Iterator[PriceLevel]:
        """The levels, best price first."""
        return (self.levels[self.sign * rank] for rank in reversed(self.ranks))


class Book:
    """Price-time priority: the best price trades first, and at one price the oldest order."""

    __slots__ = ("_buys", "_orders", "_sells")

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._buys = BookSide(Side.BUY)
        self._sells = BookSide(Side.SELL)

    def __del__(self) -> None:
        """Clear all links: the orders of a discarded book would otherwise never be freed."""
        for order in self._orders.values():
            order.level = order.prev = order.next = None

    def __len__(self) -> int:
        return len(self._orders)

    def find(self, order_seq: int) -> Order | None:
        """The resting order with this sequence number."""
        return self._orders.get(order_seq)

    def add(self, order: Order) -> None:
        """Add an order, last in the queue at its price."""
        side = self._buys if order.side is _BUY else self._sells
        level = side.levels.get(order.price) or side.open(order.price)
        level.append(order)
        self._orders[order.order_seq] = order

    def reduce(self, order: Order, lots: int) -> None:
        """Take lots off a resting order. It keeps its place in the queue; with its last lot it leaves the book."""
        level = order.level
        if level is None:
            raise NotResting(order.order_seq)
        if lots == order.remaining:
            self.remove(order)
        else:
            level.lots -= lots
        order.remaining -= lots  # type: ignore[assignment]  # lots less lots are lots; NewType forgets it

    def remove(self, order: Order) -> None:
        """Take an order out of the book; its `remaining` does not change."""
        level = order.level
        if level is None:
            raise NotResting(order.order_seq)
        del self._orders[order.order_seq]
        level.unlink(order)
        if level.first is None:
            (self._buys if order.side is _BUY else self._sells).close(level)

    def best(self, side: Side) -> Order | None:
        """The order of this side that trades next."""
        level = (self._buys if side is _BUY else self._sells).best
        return None if level is None else level.first

    def walk(self, side: Side) -> Iterator[Order]:
        """The orders of one side in the sequence in which they would trade. Do not change the book while iterating."""
        for level in self._side(side).by_priority():
            order = level.first
            while order is not None:
                yield order
                order = order.next

    def depth(self, side: Side) -> Iterator[tuple[Ticks, int]]:
        """Each price of one side and the lots that rest there, best price first."""
        return ((level.price, level.lots) for level in self._side(side).by_priority())

    def _side(self, side: Side) -> BookSide:
        return self._buys if side is _BUY else self._sells
