"""When the traders of the demo trade, and what they draw: a calm with some orders a minute, and now and then a burst.

Everything random is drawn here, so a seed decides the times, the sizes and the leanings whatever the exchange does. What an
order becomes (its side, its price) depends on the market and on the trader's position when its time comes.
"""

import heapq
from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

CALM_S = 360.0
ORDER_EVERY_S = 6.0
BURST_ORDERS = (8, 20)
BURST_PAUSE_S = (0.2, 1.2)
BURST_SIZE = 3
TAKES = 0.7
"""The share of the orders that take at once; the others wait in the book."""
NOTIONAL_MEDIAN, NOTIONAL_SPREAD, NOTIONAL_MAX = 700, 1.0, 6_000
WAIT_S = (15, 90)


class Intent(NamedTuple):
    """What a trader is about to do in a market, `at_s` seconds after the start."""

    at_s: float
    market: str
    trader: int
    takes: bool
    lean: float
    """From 0 to 1: buys if it is less than the trader's wish to buy."""
    mood: int
    """1 while everybody buys, -1 while everybody sells, 0 in a calm."""
    notional: int
    distance: float
    """From 0 to 1: how far from the mark it waits."""
    wait_s: int
    """How long it waits before it gives up."""


def order_flow(markets: Iterable[str], seed: int, traders: int) -> Iterator[Intent]:
    """The orders of all markets, in the order of their times; endless."""
    return heapq.merge(*(_of_market(market, Random(f"{market}/{seed}/flow"), traders) for market in markets))  # noqa: S311 - no secret


def _of_market(market: str, draw: Random, traders: int) -> Iterator[Intent]:
    at_s = 0.0
    while True:
        calm_ends_s = at_s + draw.expovariate(1 / CALM_S)
        while at_s < calm_ends_s:
            at_s += draw.expovariate(1 / ORDER_EVERY_S)
            yield _intent(at_s, market, draw, traders, mood=0)
        mood = draw.choice((-1, 1))
        for _ in range(draw.randint(*BURST_ORDERS)):
            at_s += draw.uniform(*BURST_PAUSE_S)
            yield _intent(at_s, market, draw, traders, mood)


def _intent(at_s: float, market: str, draw: Random, traders: int, mood: int) -> Intent:
    size = NOTIONAL_MEDIAN * draw.lognormvariate(0, NOTIONAL_SPREAD) * (BURST_SIZE if mood else 1)
    return Intent(
        at_s=at_s,
        market=market,
        trader=draw.randrange(traders),
        takes=mood != 0 or draw.random() < TAKES,
        lean=draw.random(),
        mood=mood,
        notional=round(min(size, NOTIONAL_MAX)),
        distance=draw.random(),
        wait_s=draw.randint(*WAIT_S),
    )
