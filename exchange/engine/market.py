"""The state of one market: its parameters, prices, positions, orders and its place in the log. Only the engine changes it."""

from collections.abc import Sequence

import msgspec

from exchange.engine.book import Book
from exchange.engine.conditional.groups import OcoGroups
from exchange.engine.conditional.order import ConditionalOrder
from exchange.engine.conditional.waiting import WaitingOrders
from exchange.engine.dead_man.countdowns import Countdowns
from exchange.engine.indexes.expiries import Expiries
from exchange.engine.indexes.order_index import OrderIndex
from exchange.engine.indexes.reduce_only_orders import ReduceOnlyOrders
from exchange.engine.indexes.watched_orders import WatchedOrders
from exchange.engine.order import Order
from exchange.position import Position, fill
from schemas.market import RULES_FIRST, MarketSpec, MarketStatus, PriceSource
from schemas.orders import Side
from schemas.units import Lots, Micros, Nanos, Ppm, RateE9, Ticks, Timestamp
from schemas.wire import GENESIS_HASH

_OPENED_BY_A_MARK = frozenset({MarketStatus.INITIALIZING, MarketStatus.ACTIVE, MarketStatus.SETTLEMENT_ONLY})


class Feed(msgspec.Struct, gc=False):
    """A price source of the index, and the price (nanos) it reported last; none yet at `observed_at` 0."""

    source: PriceSource
    price: Nanos = Nanos(0)
    observed_at: Timestamp = Timestamp(0)


class Funding(msgspec.Struct, gc=False):
    """A market between two fundings: the rate last applied (10^-9), when the interval ends, and the sum of
    the premiums sampled in it (10^-9)."""

    rate: RateE9 = RateE9(0)
    ends_at: Timestamp = Timestamp(0)
    premium_sum: RateE9 = RateE9(0)


class EngineState(msgspec.Struct, array_like=True, eq=False):
    """The state of a market, without its positions and orders. The order of these fields is the format of a snapshot.

    `rules` is the current version of the rules (exchange/engine/rules.py). `status` is the current status: the more
    restrictive of `operator_status` and, while the mark is frozen, CANCEL_ONLY. `clock` is the latest time of any
    command; `stage` is the stage of the market's life (exchange/engine/status.py). `basis` is the moving average of
    mid - index (nanos), `second` and `minute` are the last ones that the clock has passed, `index_minutes` the index of
    the last minutes.
    """

    rules: int
    spec: MarketSpec
    status: MarketStatus = MarketStatus.HALTED
    index: Nanos = Nanos(0)
    mark: Ticks = Ticks(0)
    clock: Timestamp = Timestamp(0)
    command_seq: int = 0
    event_seq: int = 0
    event_hash: str = GENESIS_HASH
    trade_seq: int = 0
    operator_status: MarketStatus = MarketStatus.HALTED
    stage: int = 0
    is_frozen: bool = False
    feeds: list[Feed] = []
    quorum: int = 0
    basis: Nanos = Nanos(0)
    last_price: Ticks = Ticks(0)
    second: int = 0
    minute: int = 0
    funding: Funding = msgspec.field(default_factory=Funding)
    index_minutes: list[Nanos] = []


class Market(EngineState, eq=False):
    """One market. The events of a command depend only on this state and the command.

    `positions` holds no flat ones. The indexes follow from the orders in the book, `watched` also from whose timers there were.
    `waiting` are the conditional orders that are not in it, `groups` the OCO groups of both.
    """

    positions: dict[int, Position] = {}
    book: Book = msgspec.field(default_factory=Book)
    expiries: Expiries = msgspec.field(default_factory=Expiries)
    reduce_only: ReduceOnlyOrders = msgspec.field(default_factory=ReduceOnlyOrders)
    waiting: WaitingOrders = msgspec.field(default_factory=WaitingOrders)
    groups: OcoGroups = msgspec.field(default_factory=OcoGroups)
    watched: WatchedOrders = msgspec.field(default_factory=WatchedOrders)
    countdowns: Countdowns = msgspec.field(default_factory=Countdowns)

    def indexes_of(self, order: Order) -> Sequence[OrderIndex]:
        """The indexes that hold this order while it rests: none for a plain one of an account that is not watched."""
        if order.user in self.watched.by_user:
            return (self.watched, *self._indexes_by_kind(order))
        return self._indexes_by_kind(order)

    def _indexes_by_kind(self, order: Order) -> Sequence[OrderIndex]:
        if order.expires_at is None:
            return (self.reduce_only,) if order.reduce_only else ()
        return (self.expiries, self.reduce_only) if order.reduce_only else (self.expiries,)

    def watch(self, user: int) -> None:
        """Keep the account's orders at hand from now on; looks through the book once."""
        if user not in self.watched.by_user:
            resting = (order for side in Side for order in self.book.walk(side))
            self.watched.by_user[user] = {order.order_seq: order for order in resting if order.user == user}

    def orders_of(self, user: int) -> list[Order | ConditionalOrder]:
        """All orders of a watched account in this market, resting and waiting, oldest first."""
        orders: list[Order | ConditionalOrder] = [*self.watched.by_user[user].values(), *self.waiting.of_user(user)]
        return sorted(orders, key=lambda order: order.order_seq)

    def set_status(self, operator_status: MarketStatus, *, is_frozen: bool) -> None:
        """Set the operator's status and whether the mark is frozen; the current status follows from both."""
        self.operator_status, self.is_frozen = operator_status, is_frozen
        self.waiting.needs_a_look = True  # what could not fire may be able to now
        is_closed = is_frozen and operator_status in _OPENED_BY_A_MARK
        self.status = MarketStatus.CANCEL_ONLY if is_closed else operator_status

    def feed(self, source: str) -> Feed | None:
        """The feed of the price source with this name."""
        return next((feed for feed in self.feeds if feed.source.name == source), None)

    def position_of(self, user: int) -> int:
        """Signed lots that the account holds."""
        position = self.positions.get(user)
        return position.lots if position is not None else 0

    def book_fill(self, user: int, lots: int, notional: int) -> tuple[Position, Micros]:
        """Book signed lots at a signed notional (micros) on an account, reported by the next event; flat positions are dropped.

        Returns the position after the fill, and the profit it realized.
        """
        position = self.positions.setdefault(user, Position())
        realized = fill(position, lots, notional, self.event_seq + 1)
        if not position.lots:
            del self.positions[user]
        return position, realized

    def rest(self, order: Order) -> None:
        """Add an order to the book and to its indexes."""
        self.book.add(order)
        for index in self.indexes_of(order):
            index.add(order)

    def reduce(self, order: Order, lots: int) -> None:
        """Take lots off a resting order; with the last one it leaves the book."""
        if lots == order.remaining:
            self.remove(order)
            order.remaining = Lots(0)
            return
        self.book.reduce(order, lots)
        for index in self.indexes_of(order):
            index.reduce(order, lots)

    def remove(self, order: Order) -> None:
        """Take an order out of the book and of every index."""
        self.book.remove(order)
        for index in self.indexes_of(order):
            index.remove(order)

    def wait(self, order: ConditionalOrder) -> None:
        """Let a conditional order wait; it expires like a resting one."""
        self.waiting.add(order)
        if order.expires_at is not None:
            self.expiries.add(order)

    def take_out(self, order_seq: int, user: int | None = None) -> Order | ConditionalOrder | None:
        """Take a resting or waiting order out, if there is one with this number, of this user where one is named."""
        resting = self.book.find(order_seq)
        if resting is not None:
            if user is not None and resting.user != user:
                return None
            self.remove(resting)
            return resting
        waiting = self.waiting.orders.get(order_seq)
        if waiting is None or (user is not None and waiting.user != user):
            return None
        self.stop_waiting(waiting)
        return waiting

    def stop_waiting(self, order: ConditionalOrder) -> None:
        """Take a waiting order out: it has ended, or it enters the book."""
        self.waiting.remove(order)
        if order.expires_at is not None:
            self.expiries.remove(order)


def empty_market(name: str) -> Market:
    """A market before its first command: halted, without parameters."""
    return Market(RULES_FIRST, _unlisted(name))


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
