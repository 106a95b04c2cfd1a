"""The levels of a book from the events of its market, for readers of the log that do not run the engine.

No event says that an order rests. An accepted one counts at once, and whatever its command then takes off it is taken off its
level: after the last event of a command, and only then, the levels are those of the engine's book. Orders that wait for their
condition, and stops that trade without entering the book, are accepted by other events or by none: they never count.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from schemas.events import Event, OrderAccepted, OrderAmended, OrderEnded, OrderShrunk, TradeExecuted
from schemas.orders import Side


class LevelsContradicted(Exception):
    """An event names lots that the order does not have: these are not the events of this book."""

    def __init__(self, event: int, order: int) -> None:
        super().__init__(f"event {event} contradicts order {order}")
        self.event = event
        self.order = order


class RestingOrder(NamedTuple):
    """An order in the book: its number, its price in ticks, and the lots that remain of it."""

    order: int
    side: Side
    price: int
    lots: int


class LevelSide:
    """The lots at each price of one side. A rank is the price of a bid and minus the price of an ask: the highest is the best."""

    __slots__ = ("changed", "lots", "ranks", "sign")

    def __init__(self, side: Side) -> None:
        self.sign = side.sign
        self.lots: dict[int, int] = {}
        self.ranks: list[int] = []
        self.changed: dict[int, int] = {}
        """The lots, at each price touched since the changes were last taken, that were there then."""

    def add(self, price: int, lots: int) -> None:
        """Add lots at a price, or take them off where they are negative; a level without lots is gone."""
        before = self.lots.get(price, 0)
        self.changed.setdefault(price, before)
        after = before + lots
        if after:
            self.lots[price] = after
            if not before:
                insort(self.ranks, self.sign * price)
        elif before:
            del self.lots[price]
            del self.ranks[bisect_left(self.ranks, self.sign * price)]

    def best(self, depth: int | None = None) -> Iterator[tuple[int, int]]:
        """Price and lots of the best levels, best first; of all without a depth."""
        ranks = self.ranks if depth is None else self.ranks[-depth:]
        return ((self.sign * rank, self.lots[self.sign * rank]) for rank in reversed(ranks))

    def take_changes(self) -> dict[int, int]:
        """{price: lots before} of the levels that have changed since the last call, in no order."""
        changed, self.changed = self.changed, {}
        return {price: before for price, before in changed.items() if self.lots.get(price, 0) != before}


class BookLevels:
    """The levels of both sides. They follow the events of one market, each once and in order."""

    def __init__(self, resting: Iterable[RestingOrder] = ()) -> None:
        self.sides: Mapping[Side, LevelSide] = {side: LevelSide(side) for side in Side}
        self._orders: dict[int, RestingOrder] = {}
        for order in resting:
            self.load(order)
        self.take_changes()

    def load(self, order: RestingOrder) -> None:
        """Add an order that rests already."""
        self._orders[order.order] = order
        self.sides[order.side].add(order.price, order.lots)

    def apply(self, event: Event) -> None:
        """Follow the next event. Raises LevelsContradicted."""
        match event:
            case TradeExecuted():
                for party in (event.maker, event.taker):
                    self._set(event.seq, party.order, event.quantity, party.remaining)
            case OrderAccepted():
                self.load(RestingOrder(event.order, event.side, event.price, event.quantity))
            case OrderEnded():
                self._set(event.seq, event.order, event.remaining, 0)
            case OrderShrunk():
                self._set(event.seq, event.order, event.by, event.remaining)
            case OrderAmended():
                self._amend(event)
            case _:
                pass  # no other event changes what rests

    def take_changes(self) -> dict[Side, dict[int, int]]:
        """For each side, {price: lots before} of the levels that have changed since the last call."""
        return {side: levels.take_changes() for side, levels in self.sides.items()}

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid reaches the best ask, as it may only do in the middle of a command."""
        bids, asks = self.sides[Side.BUY].ranks, self.sides[Side.SELL].ranks
        return bool(bids and asks and bids[-1] >= -asks[-1])

    def _set(self, event: int, number: int, taken: int, remaining: int) -> None:
        """An order has lost lots, which leaves it with these; nothing, where it does not count."""
        order = self._orders.get(number)
        if order is None:
            return
        if order.lots - taken != remaining:
            raise LevelsContradicted(event, number)
        self.sides[order.side].add(order.price, -taken)
        if remaining:
            self._orders[number] = order._replace(lots=remaining)
        else:
            del self._orders[number]

    def _amend(self, event: OrderAmended) -> None:
        order = self._orders.get(event.order)
        if order is None:
            return
        if order.lots + event.added != event.remaining:
            raise LevelsContradicted(event.seq, event.order)
        side = self.sides[order.side]
        side.add(order.price, -order.lots)
        side.add(event.price, event.remaining)
        self._orders[event.order] = order._replace(price=event.price, lots=event.remaining)
