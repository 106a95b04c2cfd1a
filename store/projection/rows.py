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
    ended_event_seq: int | None = None


@dataclass(slots=True)
class PositionChange:
    """What an account's row of this market becomes: the position absolute, where it changed; its margin sums by delta."""

    user: int
    lots: int | None = None
    cost: int | None = None
    realized: int | None = None
    opened_seq: int | None = None
    buy_lots: int = 0
    sell_lots: int = 0
    buy_notional: int = 0
    sell_notional: int = 0
    open_loss: int = 0
    open_fees: int = 0
    live_orders: int = 0


@dataclass(slots=True)
class MarketChange:
    """What the market's own row becomes; None leaves a column as it is, `forgets_prediction` empties it first."""

    status: str | None = None
    operator_status: str | None = None
    is_frozen: bool | None = None
    index: int | None = None
    mark: int | None = None
    mark_at: Timestamp | None = None
    rules: int | None = None
    price_sources: str | None = None
    price_quorum: int | None = None
    funding_rate: int | None = None
    predicted_funding_rate: int | None = None
    next_funding_at: Timestamp | None = None
    forgets_prediction: bool = False


@dataclass(slots=True)
class StepOutcome:
    """What the events said of one step of a liquidation; its `transfers` add up until it is done."""

    facts: dict[str, int | bool]
    transfers: list[dict[str, int]]
    event_seq: int
    done_at: Timestamp | None = None


@dataclass(slots=True)
class Rows:
    """Everything a batch writes, keyed by what it is about; tuples are in the column order of `store.projection.columns`."""

    wallets: dict[int, int]
    orders: dict[int, OrderRow]
    positions: dict[int, PositionChange] = field(default_factory=dict)
    touched_orders: dict[int, OrderRow] = field(default_factory=dict)
    touched_wallets: set[int] = field(default_factory=set)
    fills: list[tuple[object, ...]] = field(default_factory=list)
    entries: list[tuple[object, ...]] = field(default_factory=list)
    failures: list[tuple[object, ...]] = field(default_factory=list)
    premiums: list[tuple[object, ...]] = field(default_factory=list)
    fundings: list[tuple[object, ...]] = field(default_factory=list)
    payments: list[tuple[object, ...]] = field(default_factory=list)
    settlements: list[tuple[object, ...]] = field(default_factory=list)
    steps: dict[tuple[int, int], StepOutcome] = field(default_factory=dict)
    market: MarketChange = field(default_factory=MarketChange)
    records: list[tuple[object, ...]] = field(default_factory=list)
