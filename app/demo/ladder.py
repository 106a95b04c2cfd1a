"""Where the market maker quotes: points of a fixed ladder of prices, so that a move of the mark changes only its ends.

A market maker that moved all its quotes with the mark would send a hundred orders and a hundred cancels a minute and market
for each level. Here the price passes a point, and one quote of each side is placed, and one cancelled.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from random import Random
from typing import NamedTuple

from app.demo.terms import Terms

LEVELS = 20
SPARE = 3
"""So many levels beyond those may rest on: each quote that stays is a cancel and an order less when the price turns."""
NOTIONAL = (5_000, 25_000)
JITTER = 0.3
"""Of a step; a book whose levels are all equally far apart is no book."""
GAP = Decimal("0.25")
"""Of a step: nothing is placed nearer than this to the middle."""
SIDES = ("BUY", "SELL")


class Quote(NamedTuple):
    """A price, in ticks, with what is quoted there."""

    side: str
    price: int
    lots: int


class Resting(NamedTuple):
    """An order of the maker in the book."""

    order_id: str
    side: str
    price: int
    lots: int


class Changes(NamedTuple):
    """What turns the quotes that rest into those that should."""

    cancel: list[str]
    place: list[Quote]


class Ladder:
    """The points of one market; the same seed has the same prices and sizes."""

    def __init__(self, market: str, seed: int) -> None:
        self._name = f"{market}/{seed}"
        self._point = lru_cache(maxsize=1_000)(self._draw)

    def changes(
        self, terms: Terms, middle: Decimal, resting: Iterable[Resting], sides: Iterable[str] = SIDES
    ) -> Changes:
        """Cancel what is on the wrong side of the middle, far, half gone or on no point; place what is missing, nearest first.

        `middle` is in ticks. Only `sides` are quoted.
        """
        near = {quote.price: quote for side in sides for quote in self._quotes(terms, middle, side, LEVELS + SPARE)}
        cancel, kept = [], set()
        for order in resting:
            quote = near.get(order.price)
            is_good = quote is not None and quote.side == order.side and 2 * order.lots >= quote.lots
            if is_good and order.price not in kept:
                kept.add(order.price)
            else:
                cancel.append(order.order_id)
        gap = GAP * terms.step
        wanted = [quote for side in sides for quote in self._quotes(terms, middle, side, LEVELS, gap)]
        place = sorted((quote for quote in wanted if quote.price not in kept), key=lambda one: abs(one.price - middle))
        return Changes(cancel, place)

    def _quotes(
        self, terms: Terms, middle: Decimal, side: str, count: int, gap: Decimal = Decimal(0)
    ) -> Iterator[Quote]:
        """The points of a side that are further than `gap` from the middle, nearest first."""
        first = int((middle / terms.step).to_integral_value(ROUND_FLOOR))
        sign = 1 if side == "SELL" else -1
        found = 0
        for number in range(first - sign, first + sign * (2 * count + 10), sign):
            price, lots = self._point(number, terms.step, terms.tick * terms.lot)
            if price > 0 and sign * (price - middle) > gap and found < count:
                found += 1
                yield Quote(side, price, lots)

    def _draw(self, number: int, step: int, tick_value: Decimal) -> tuple[int, int]:
        """Price and lots of a point. `tick_value` is what a lot costs at a price of one tick."""
        draw = Random(f"{self._name}/{number}")  # noqa: S311 - the demo's quotes are no secret
        price = number * step + round(draw.uniform(-JITTER, JITTER) * step)
        notional = Decimal(draw.randint(*NOTIONAL))
        return price, int(notional / (max(1, price) * tick_value)) + 1
