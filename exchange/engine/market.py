"""The state of one market: its book, its positions and where it stands in its log. Changed by exchange.engine.engine alone."""

import msgspec
from sortedcontainers import SortedList

from exchange.engine.book import Book
from exchange.engine.order import Order
from exchange.position import Position, fill
from schemas.market import RULES_FIRST, MarketSpec, MarketStatus, PriceSource
from schemas.orders import Side
from schemas.units import Lots, Micros, Nanos, Ppm, RateE9, Ticks, Timestamp
from schemas.wire import GENESIS_HASH

_OPENED_BY_A_MARK = frozenset({MarketStatus.INITIALIZING, MarketStatus.ACTIVE, MarketStatus.SETTLEMENT_ONLY})


class ReduceOnlyOrders:
    """The resting reduce-only orders of one account, all on the side that reduces its position; `lots` is their sum."""

    __slots__ = ("lots", "orders", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.lots = 0
        self.orders: dict[int, Order] = {}


class Feed(msgspec.Struct, gc=False):
    """A price source of the index, and the price (nanos) it reported last; none yet at `observed_at` 0."""

    source: PriceSource
    price: Nanos = Nanos(0)
    observed_at: Timestamp = Timestamp(0)


class Funding(msgspec.Struct, gc=False):
    """Where a market stands between two fundings: the rate last applied (10^-9), when the interval ends, and the sum of
    the premiums sampled in it (10^-9)."""

    rate: RateE9 = RateE9(0)
    ends_at: Timestamp = Timestamp(0)
    premium_sum: RateE9 = RateE9(0)


class Market:
    """One market. What it will do next depends on these values and on the next command, on nothing else.

    `clock` is the latest time any command carried; `positions` holds no flat ones; `stage` is how far the market's life
    has come (exchange/engine/status.py). `basis` is the moving average of mid - index in nanos, `second` and `minute` the last
    ones the clock has ticked through, `index_minutes` the last minutes' index.
    `reduce_only` and `timed` are indexes over the book, by account and by expiry: they follow from the orders in it.
    """

    __slots__ = (
        "basis",
        "book",
        "clock",
        "command_seq",
        "event_hash",
        "event_seq",
        "feeds",
        "funding",
        "index",
        "index_minutes",
        "is_frozen",
        "last_price",
        "mark",
        "minute",
        "operator_status",
        "positions",
        "quorum",
        "reduce_only",
        "rules",
        "second",
        "spec",
        "stage",
        "timed",
        "trade_seq",
    )

    def __init__(self, spec: MarketSpec) -> None:
        self.spec = spec
        self.operator_status = MarketStatus.HALTED
        self.stage = 0
        self.is_frozen = False
        self.feeds: dict[str, Feed] = {}
        self.quorum = 0
        self.basis = Nanos(0)
        self.last_price = Ticks(0)
        self.second = 0
        self.minute = 0
        self.funding = Funding()
        self.index_minutes: list[Nanos] = []
        self.index = Nanos(0)
        self.mark = Ticks(0)
        self.clock = Timestamp(0)
        self.command_seq = 0
        self.event_seq = 0
        self.event_hash = GENESIS_HASH
        self.trade_seq = 0
        self.rules = RULES_FIRST
        self.book = Book()
        self.positions: dict[int, Position] = {}
        self.reduce_only: dict[int, ReduceOnlyOrders] = {}
        self.timed: SortedList[tuple[int, int]] = SortedList()

    @property
    def status(self) -> MarketStatus:
        """The status in force: the more restrictive of the operator's and, while the mark is frozen, CANCEL_ONLY."""
        is_closed = self.is_frozen and self.operator_status in _OPENED_BY_A_MARK
        return MarketStatus.CANCEL_ONLY if is_closed else self.operator_status

    def position_of(self, user: int) -> int:
        """Signed lots that the account holds."""
        position = self.positions.get(user)
        return position.lots if position is not None else 0

    def book_fill(self, user: int, lots: int, notional: int) -> tuple[Position, Micros]:
        """Book signed lots at a signed notional (micros) on an account, told by the next event; flat positions are forgotten.

        The position as it is now, and the profit that was realized.
        """
        position = self.positions.setdefault(user, Position())
        realized = fill(position, lots, notional, self.event_seq + 1)
        if not position.lots:
            del self.positions[user]
        return position, realized

    def rest(self, order: Order) -> None:
        """Let an order wait in the book."""
        self.book.add(order)
        if order.expires_at is not None:
            self.timed.add((order.expires_at, order.order_seq))
        if order.reduce_only:
            group = self.reduce_only.get(order.user)
            if group is None:
                group = self.reduce_only[order.user] = ReduceOnlyOrders(order.side)
            group.orders[order.order_seq] = order
            group.lots += order.remaining

    def reduce(self, order: Order, lots: int) -> None:
        """Take lots off a resting order; with the last one it leaves the book."""
        if lots == order.remaining:
            self.remove(order)
            order.remaining = Lots(0)
            return
        self.book.reduce(order, lots)
        if order.reduce_only:
            self.reduce_only[order.user].lots -= lots

    def remove(self, order: Order) -> None:
        """Take an order out of the book and of every index."""
        self.book.remove(order)
        if order.expires_at is not None:
            self.timed.remove((order.expires_at, order.order_seq))
        if order.reduce_only:
            group = self.reduce_only[order.user]
            del group.orders[order.order_seq]
            group.lots -= order.remaining
            if not group.orders:
                del self.reduce_only[order.user]


def empty_market(name: str) -> Market:
    """A market before its first command: halted, without rules."""
    return Market(_unlisted(name))


def _unlisted(name: str) -> MarketSpec:
    rate = Ppm(0)
    return MarketSpec(
        market=name,
        base_asset="",
        quote_asset="",
        tick_size_e18=0,
        lot_size_e18=0,
        quantity_min=Lots(0),
        quantity_max=Lots(0),
        notional_min=Micros(0),
        orders_max=0,
        leverage_max=0,
        initial_margin_rate=rate,
        maintenance_margin_rate=rate,
        maker_fee_rate=rate,
        taker_fee_rate=rate,
        price_band=rate,
        take_bound=rate,
        mark_clamp=rate,
        liquidation_fee_rate=rate,
        funding_interval_hours=0,
        funding_rate_cap=rate,
        reference_price=Nanos(0),
    )
