"""How the fake of PostgreSQL runs a statement on its tables."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.tables import Tables

EXPOSURE = (
    *("buy_notional", "sell_notional", "open_loss", "open_fees"),
    *("buy_lots", "sell_lots", "live_orders"),
)
"""The margin sums of a row of positions that the submission and the projection write."""

REDUCING = (
    *("reduce_buy_lots", "reduce_sell_lots", "reduce_buy_notional", "reduce_sell_notional"),
    *("reduce_buy_cost", "reduce_sell_cost", "reduce_loss", "reduce_excess"),
)
"""The sums over reduce-only orders, which triggers keep."""


class Result(NamedTuple):
    """The rows that come back, what is written at the commit, and the markets whose relays are notified then."""

    rows: list[Any]
    effect: Callable[[], None] | None = None
    notified: tuple[str, ...] = ()


class Statement(NamedTuple):
    """How a statement runs; `locks`: it waits for the writer before it."""

    name: str
    run: Callable[[Tables, tuple[Any, ...]], Result]
    locks: bool = False
