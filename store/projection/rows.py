"""The rows that a batch of events changes, while it is folded. Mutable on purpose: one object a row, written once."""

from dataclasses import dataclass, field

from schemas.units import Timestamp


@dataclass(slots=True)
class OrderRow:
    """An order as stored, then as the events leave it."""

    order_id: int
    user: int
    status: str
    is_buy: bool
    remaining: int
    margin_price: int
    loss_per_lot: int
    fee_per_lot: int
    filled_lots: int
    filled_notional: int
    reason: str | None
    best_opposite: int | None
    is_live: bool
    updated_at: Timestamp | None = None


@dataclass(slots=True)
class PositionChange:
    """What an account's row of this market becomes: the position absolute, where it traded; its margin sums by delta."""

    user: int
    lots: int | None = None
    cost: int | None = None
    realized: int | None = None
    buy_lots: int = 0
    sell_lots: int = 0
    buy_notional: int = 0
    sell_notional: int = 0
    open_loss: int = 0
    open_fees: int = 0
    live_orders: int = 0


@dataclass(slots=True)
class MarketChange:
    """What the market's own row becomes; None leaves a column as it is."""

    status: str | None = None
    index: int | None = None
    mark: int | None = None
    mark_at: Timestamp | None = None
    rules: int | None = None


@dataclass(slots=True)
class Rows:
    """Everything a batch writes, keyed by what it is about; tuples are in the column order of the tables."""

    wallets: dict[int, int]
    orders: dict[int, OrderRow]
    positions: dict[int, PositionChange] = field(default_factory=dict)
    touched_orders: dict[int, OrderRow] = field(default_factory=dict)
    touched_wallets: set[int] = field(default_factory=set)
    fills: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[tuple[object, ...]] = field(default_factory=list)
    failures: list[tuple[object, ...]] = field(default_factory=list)
    market: MarketChange = field(default_factory=MarketChange)
