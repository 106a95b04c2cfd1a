"""The stream of orders that the book and the engine are measured on, as the commands of a market's log.

50 % passive limits on 200 levels around 60,000, 10 % takers that eat about one resting order each, 40 % cancels of a
random order that waits. The same seed gives the same stream.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from exchange.engine.book import Book
from exchange.engine.order import Order
from schemas.commands import CancelOrder, PlaceOrder
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce
from schemas.units import Lots, Micros, Ticks, Timestamp

MID = 600_000
LEVELS_A_SIDE = 100
LOTS_MAX = 10
USERS = 1_000
TAKER_USER = 1_000_000  # takers never meet themselves
BEGAN_AT = Timestamp(1_800_000_000_000_000)
PASSIVE, TAKE, CANCEL = range(3)


class Operation(NamedTuple):
    """One thing done to the book; `number` is the order's own, or that of the order to cancel."""

    kind: int
    number: int
    user: int
    side: Side
    price: Ticks
    lots: Lots


class Flow:
    """An endless stream; it keeps its own book to know which orders rest."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - a repeatable load, not a secret
        self._number = 0
        self._book = Book()
        self._waiting: list[int] = []

    def resting(self, count: int) -> list[Operation]:
        """This many passive orders."""
        return [self._passive() for _ in range(count)]

    def mixed(self, count: int) -> list[Operation]:
        """This many operations in the proportions above."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Operation:
        chance = self._draw.random()
        if chance < 0.4 and (cancelled := self._cancelled()) is not None:
            return cancelled
        return self._taker() if chance >= 0.9 else self._passive()

    def _passive(self) -> Operation:
        side, away = self._draw.choice((Side.BUY, Side.SELL)), self._draw.randint(1, LEVELS_A_SIDE)
        return self._create(PASSIVE, self._draw.randint(1, USERS), side, MID - side.sign * away)

    def _taker(self) -> Operation:
        side = self._draw.choice((Side.BUY, Side.SELL))
        return self._create(TAKE, TAKER_USER, side, MID + side.sign * LEVELS_A_SIDE)

    def _create(self, kind: int, user: int, side: Side, price: int) -> Operation:
        self._number += 1
        operation = Operation(kind, self._number, user, side, Ticks(price), Lots(self._draw.randint(1, LOTS_MAX)))
        do(self._book, operation)
        if kind == PASSIVE:
            self._waiting.append(self._number)
        return operation

    def _cancelled(self) -> Operation | None:
        while self._waiting:
            place = self._draw.randrange(len(self._waiting))
            self._waiting[place], self._waiting[-1] = self._waiting[-1], self._waiting[place]
            order = self._book.find(self._waiting.pop())
            if order is not None:
                operation = Operation(CANCEL, order.order_seq, order.user, order.side, order.price, order.remaining)
                do(self._book, operation)
                return operation
        return None


def do(book: Book, operation: Operation) -> None:
    """Carry out one operation: the least that a market does with its book. What a taker leaves is given up."""
    kind, number, user, side, price, lots = operation
    if kind == PASSIVE:
        book.add(Order(number, user, side, price, lots))
    elif kind == CANCEL:
        order = book.find(number)
        if order is not None:
            book.remove(order)
    else:
        _take(book, Order(number, user, side, price, lots))


def _take(book: Book, taker: Order) -> None:
    opposite, sign = (Side.SELL, 1) if taker.side is Side.BUY else (Side.BUY, -1)
    remaining: int = taker.remaining
    while remaining:
        maker = book.best(opposite)
        if maker is None or sign * (taker.price - maker.price) < 0:
            return
        lots = min(remaining, maker.remaining)
        book.reduce(maker, lots)
        remaining -= lots


def commands(operations: list[Operation], first_seq: int = 1) -> Iterator[PlaceOrder | CancelOrder]:
    """The same as consecutive commands of a log from `first_seq` on, where an order's number is its command's."""
    seqs: dict[int, int] = {}
    for seq, (kind, number, user, side, price, lots) in enumerate(operations, first_seq):
        if kind == CANCEL:
            yield CancelOrder(BEGAN_AT, user, seqs.get(number, number))
        else:
            seqs[number] = seq
            yield _created(user, side, price, lots, TimeInForce.IOC if kind == TAKE else TimeInForce.GTC)


def _created(user: int, side: Side, price: Ticks, lots: Lots, time_in_force: TimeInForce) -> PlaceOrder:
    return PlaceOrder(
        at=BEGAN_AT,
        user=user,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=lots,
        price=price,
        time_in_force=time_in_force,
        post_only=False,
        reduce_only=False,
        self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER,
        margin_price=price,
        loss_per_lot=Micros(0),
        fee_per_lot=Micros(30_000),
        leverage=20,
    )
