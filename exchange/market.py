"""The state of one market: its book, its positions and where it stands in its log. Changed by exchange.engine alone."""

from sortedcontainers import SortedList

from exchange.book import Book
from exchange.level import Order
from exchange.position import Position
from schemas.market import RULES_FIRST, MarketSpec, MarketStatus
from schemas.orders import Side
from schemas.units import Lots, Micros, Nanos, Ppm, Ticks, Timestamp
from schemas.wire import GENESIS_HASH


class ReduceOnlyOrders:
    """The resting reduce-only orders of one account, all on the side that reduces its position; `lots` is their sum."""

    __slots__ = ("lots", "orders", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.lots = 0
        self.orders: dict[int, Order] = {}


class Market:
    """One market. What it will do next depends on these values and on the next command, on nothing else.

    `clock` is the latest time any command carried; `positions` holds no flat ones. The last three are indexes over the
    book: by expiry and number, and by account; they follow from the orders in it.
    """

    __slots__ = (
        "book",
        "clock",
        "command_seq",
        "event_hash",
        "event_seq",
        "index",
        "mark",
        "positions",
        "reduce_only",
        "rules",
        "spec",
        "status",
        "timed",
        "trade_seq",
    )

    def __init__(self, spec: MarketSpec) -> None:
        self.spec = spec
        self.status = MarketStatus.HALTED
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

    def position_of(self, user: int) -> int:
        """Signed lots that the account holds."""
        position = self.positions.get(user)
        return position.lots if position is not None else 0

    def rest(self, order: Order) -> None:
        """Let an order wait in the book."""
        self.book.add(order)
        if order.expires_at is not None:
            self.timed.add((order.expires_at, order.number))
        if order.reduce_only:
            group = self.reduce_only.get(order.user)
            if group is None:
                group = self.reduce_only[order.user] = ReduceOnlyOrders(order.side)
            group.orders[order.number] = order
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
            self.timed.remove((order.expires_at, order.number))
        if order.reduce_only:
            group = self.reduce_only[order.user]
            del group.orders[order.number]
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
