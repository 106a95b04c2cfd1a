"""The order book: who waits at which price, and who is next.

    sells   levels {61: Level, 60: Level}   ranks [-61, -60]   best = level 60
    buys    levels {58: Level, 59: Level}   ranks [ 58,  59]   best = level 59

A rank is a price seen from its side: the higher, the nearer to a trade. So both sides are the same code, and the best
level is always the last of `ranks`. A level is a queue (exchange/engine/price_level.py). The book only keeps places: prices may
cross in it, users may meet themselves; who trades with whom is the business of exchange/engine/matching.py.

Costs: add, reduce, remove and find are constant while their level exists; opening or closing a level is a binary search
in `ranks`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from exchange.engine.price_level import Level, Order
from schemas.orders import Side
from schemas.units import Ticks

_BUY = Side.BUY


class NotResting(Exception):
    """The book was asked to change an order that is not in it; a bug of ours."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class BookSide:
    """All waiting buys, or all waiting sells."""

    __slots__ = ("best", "levels", "ranks", "sign")

    def __init__(self, side: Side) -> None:
        self.sign = side.sign
        self.levels: dict[int, Level] = {}
        self.ranks: list[int] = []
        self.best: Level | None = None

    def open(self, price: Ticks) -> Level:
        """Make room for a first order at this price."""
        level = self.levels[price] = Level(price)
        insort(self.ranks, self.sign * price)
        self.best = self.levels[self.sign * self.ranks[-1]]
        return level

    def close(self, level: Level) -> None:
        """Forget a price at which nobody waits any more."""
        del self.levels[level.price]
        del self.ranks[bisect_left(self.ranks, self.sign * level.price)]
        self.best = self.levels[self.sign * self.ranks[-1]] if self.ranks else None

    def by_priority(self) -> Iterator[Level]:
        """The levels, best price first."""
        return (self.levels[self.sign * rank] for rank in reversed(self.ranks))


class Book:
    """Price-time priority: the best price first, and at one price the oldest order first."""

    __slots__ = ("_buys", "_orders", "_sells")

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._buys = BookSide(Side.BUY)
        self._sells = BookSide(Side.SELL)

    def __len__(self) -> int:
        return len(self._orders)

    def find(self, number: int) -> Order | None:
        """The resting order of this number."""
        return self._orders.get(number)

    def add(self, order: Order) -> None:
        """Let the order wait, last in the queue at its price."""
        side = self._buys if order.side is _BUY else self._sells
        level = side.levels.get(order.price) or side.open(order.price)
        level.join(order)
        self._orders[order.number] = order

    def reduce(self, order: Order, lots: int) -> None:
        """Take lots off a resting order, which keeps its place; with the last lot it leaves."""
        level = order.level
        if level is None:
            raise NotResting(order.number)
        if lots == order.remaining:
            self.remove(order)
        else:
            level.lots -= lots
        order.remaining -= lots  # type: ignore[assignment]  # lots less lots are lots; NewType forgets it

    def remove(self, order: Order) -> None:
        """Take the order out; its `remaining` stays as it was."""
        level = order.level
        if level is None:
            raise NotResting(order.number)
        del self._orders[order.number]
        level.leave(order)
        if level.first is None:
            (self._buys if order.side is _BUY else self._sells).close(level)

    def best(self, side: Side) -> Order | None:
        """The order of this side that trades next."""
        level = (self._buys if side is _BUY else self._sells).best
        return None if level is None else level.first

    def walk(self, side: Side) -> Iterator[Order]:
        """The orders of one side in the order in which they would trade; the book must not change meanwhile."""
        for level in self._side(side).by_priority():
            order = level.first
            while order is not None:
                yield order
                order = order.behind

    def depth(self, side: Side) -> Iterator[tuple[Ticks, int]]:
        """Price and lots waiting there, best price first."""
        return ((level.price, level.lots) for level in self._side(side).by_priority())

    def clear(self) -> None:
        """Empty the book and cut every link: a book that is thrown away would keep its orders alive for ever."""
        for order in list(self._orders.values()):
            self.remove(order)

    def _side(self, side: Side) -> BookSide:
        return self._buys if side is _BUY else self._sells
