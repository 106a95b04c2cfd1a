"""The rows of a batch of events, as they are written and as they change while the batch is folded.

What the writing statement receives are arrays: the fields of a row are its columns, by name, type and order
(store.projection.columns). What is mutable is so on purpose: many events change it, it is written once.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from schemas.units import Timestamp

Int4: TypeAlias = Annotated[int, "int4"]
"""A column narrower than the others."""


class WrittenRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A row of the writing statement. C code makes it; a named tuple of 14 fields takes eight times as long."""


class OrderUpdate(WrittenRow, frozen=True):
    """An order as the batch leaves it; `price` and where it was moved are None where they are unchanged."""

    order_id: int
    status: str
    reason: str | None
    best_opposite: int | None
    remaining: int
    filled_lots: int
    filled_notional: int
    is_live: bool
    updated_at: datetime | None
    ended_event_seq: int | None
    price: int | None
    ended_command_seq: int | None
    moved_event_seq: int | None
    moved_command_seq: int | None


class MarginTerms(NamedTuple):
    """What an order adds to the margin sums per lot."""

    margin_price: int
    loss_per_lot: int
    fee_per_lot: int
    excess_per_lot: int


class AmendedOrder(WrittenRow, frozen=True):
    """The order of an amend that is no longer under way: the margin terms that it has now, and what was added to its quantity."""

    order_id: int
    margin_price: int
    loss_per_lot: int
    fee_per_lot: int
    excess_per_lot: int
    added: int


class AmendUpdate(WrittenRow, frozen=True):
    """The verdict on an amend; price, quantity and trigger are what DONE left."""

    order_id: int
    command_seq: int
    verdict: str
    reason: str | None
    best_opposite: int | None
    amended_price: int | None
    amended_quantity: int | None
    amended_trigger: int | None
    event_seq: int


class ConditionalUpdate(WrittenRow, frozen=True):
    """A conditional order as the batch leaves it: what of it changes beside what changes of any order."""

    order_id: int
    status: str
    reason: str | None
    best_opposite: int | None
    remaining: int
    filled_lots: int
    filled_notional: int
    is_live: bool
    updated_at: datetime | None
    ended_event_seq: int | None
    price: int | None
    ended_command_seq: int | None
    moved_event_seq: int | None
    moved_command_seq: int | None
    is_waiting: bool
    quantity: int
    margin_price: int
    loss_per_lot: int
    fee_per_lot: int
    triggered_at: datetime | None
    triggered_working_price: int | None
    triggered_event_seq: int | None
    triggered_command_seq: int | None
    trigger_price: int | None


class FillRow(WrittenRow, frozen=True):
    """One side of a trade, or of a transfer of a position, which has no order."""

    market_id: Int4
    trade_id: int
    role: str
    event_seq: int
    order_id: int | None
    user_id: int
    side: str
    price: int
    quantity: int
    notional: int
    fee: int
    realized: int
    cause: str
    at: datetime
    position_after: int


class PositionUpdate(msgspec.Struct, gc=False, array_like=True):
    """The change of an account's position: None where it is unchanged, the margin sums as deltas. Many events add to it."""

    market_id: Int4
    user_id: int
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
    live_orders: Int4 = 0


class WalletUpdate(WrittenRow, frozen=True):
    """A wallet as the batch leaves it."""

    user_id: int
    wallet: int


class EntryRow(WrittenRow, frozen=True):
    """A line of the ledger."""

    market_id: Int4
    account: int
    type: str
    cause: str | None
    amount: int
    balance_after: int | None
    event_seq: int
    trade_id: int | None
    order_id: int | None
    at: datetime


class FailureRow(WrittenRow, frozen=True):
    """A command that broke the engine and was undone, and an order that it placed or should cancel."""

    market_id: Int4
    command_seq: int
    event_seq: int
    user_id: int
    order_id: int
    at: datetime


class CountdownRow(WrittenRow, frozen=True):
    """An account's timer as the batch leaves it; without a deadline there is none."""

    market_id: Int4
    user_id: int
    deadline: datetime | None
    scope: str


class PremiumRow(WrittenRow, frozen=True):
    """One minute's premium."""

    market_id: Int4
    event_seq: int
    interval_end: datetime
    premium: int
    index_price: int
    at: datetime


class FundingRow(WrittenRow, frozen=True):
    """The result of a funding interval."""

    market_id: Int4
    interval_end: datetime
    event_seq: int
    rate: int
    premium_sum: int
    mark: int
    index_price: int
    residue: int
    is_void: bool
    at: datetime


class PaymentRow(WrittenRow, frozen=True):
    """The payment of one account in a funding, paid or received."""

    market_id: Int4
    interval_end: datetime
    user_id: int
    event_seq: int
    lots: int
    mark: int
    rate: int
    amount: int
    at: datetime


class SettlementRow(WrittenRow, frozen=True):
    """A position that was settled at the end of its market."""

    market_id: Int4
    user_id: int
    event_seq: int
    lots: int
    price: int
    realized: int
    at: datetime


class StepUpdate(WrittenRow, frozen=True):
    """The result of a liquidation step; `outcome` is JSON and is merged into the stored one."""

    liquidation_id: int
    step: Int4
    outcome: str
    event_seq: int
    done_at: datetime | None


class MarketUpdate(WrittenRow, frozen=True):
    """The market's own row; None leaves a column unchanged."""

    market_id: Int4
    status: str | None
    operator_status: str | None
    is_frozen: bool | None
    index_price: int | None
    mark: int | None
    mark_at: datetime | None
    price_sources: str | None
    price_quorum: Int4 | None
    funding_rate: int | None
    predicted_funding_rate: int | None
    next_funding_at: datetime | None
    forgets_prediction: bool
    rules: Int4 | None
    spec: str | None
    spec_seq: int | None


class RecordRow(WrittenRow, frozen=True):
    """A record of events that answers commands: the last of them, the last one before, and the log's time of it.

    `is_of_orders`: an order of this batch was placed, amended or ended by one of these commands; otherwise the orders are looked up.
    """

    market_id: Int4
    command_seq: int
    after_seq: int
    matched_at: datetime | None
    is_of_orders: bool


class ProgressUpdate(WrittenRow, frozen=True):
    """The market's progress after the batch; `before` is the last event persisted before it.

    `open_interest`: by how many lots the batch changes the sum of the long positions.
    """

    market_id: Int4
    event_seq: int
    command_seq: int
    event_hash: str
    at: datetime
    before: int
    open_interest: int


class WrittenRows(NamedTuple):
    """Everything the writing statement receives, of all markets of the batch."""

    orders: list[OrderUpdate]
    conditionals: list[ConditionalUpdate]
    amended: list[AmendedOrder]
    amends: list[AmendUpdate]
    fills: list[FillRow]
    positions: list[PositionUpdate]
    wallets: list[WalletUpdate]
    entries: list[EntryRow]
    failures: list[FailureRow]
    countdowns: list[CountdownRow]
    premiums: list[PremiumRow]
    fundings: list[FundingRow]
    payments: list[PaymentRow]
    settlements: list[SettlementRow]
    steps: list[StepUpdate]
    market: list[MarketUpdate]
    records: list[RecordRow]
    progress: list[ProgressUpdate]


class Trigger(NamedTuple):
    """When and by which event the condition of an order came to hold, and the working price by which it did."""

    at: Timestamp
    working_price: int
    event_seq: int
    command_seq: int


class OrderRow(msgspec.Struct, gc=False):
    """An order as stored, then as the events leave it; `price` and where it was moved are None until an event moves it.

    The margin terms are what it counts with. While the amend `amend_seq` is under way, that is the larger of `old_terms` and
    `new_terms`, on its remaining lots and `amend_lots`. `trigger` is None unless an event of the batch triggers it,
    `trigger_price` unless one moves it.
    """

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
    price: int | None = None
    ended_command_seq: int | None = None
    moved_event_seq: int | None = None
    moved_command_seq: int | None = None
    amend_seq: int | None = None
    amend_lots: int = 0
    old_terms: MarginTerms | None = None
    new_terms: MarginTerms | None = None
    is_waiting: bool = False
    is_conditional: bool = False
    quantity: int = 0
    trigger: Trigger | None = None
    trigger_price: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.is_live or self.is_waiting


@dataclass(slots=True)
class MarketChange:
    """The change of the market's own row; None leaves a column unchanged, `forgets_prediction` first clears the prediction."""

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
    spec: str | None = None
    spec_seq: int | None = None


@dataclass(slots=True)
class StepOutcome:
    """The outcome of one liquidation step from its events; its `transfers` accumulate until it is done."""

    facts: dict[str, int | bool]
    transfers: list[dict[str, int]]
    event_seq: int
    done_at: Timestamp | None = None


@dataclass(slots=True)
class Rows:
    """Everything a batch changes or adds in one market, by key.

    `open_interest` is the change of the sum of the long positions, in lots.
    `wallets` and `orders` are all that the batch has locked, shared by its markets; `touched_wallets` and `touched_orders` those
    that the events of this market changed.
    """

    wallets: dict[int, int]
    orders: dict[int, OrderRow]
    positions: dict[int, PositionUpdate] = field(default_factory=dict)
    touched_orders: dict[int, OrderRow] = field(default_factory=dict)
    touched_wallets: set[int] = field(default_factory=set)
    fills: list[FillRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    amended: dict[int, AmendedOrder] = field(default_factory=dict)
    amends: list[AmendUpdate] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)
    countdowns: dict[int, CountdownRow] = field(default_factory=dict)
    premiums: list[PremiumRow] = field(default_factory=list)
    fundings: list[FundingRow] = field(default_factory=list)
    payments: list[PaymentRow] = field(default_factory=list)
    settlements: list[SettlementRow] = field(default_factory=list)
    steps: dict[tuple[int, int], StepOutcome] = field(default_factory=dict)
    market: MarketChange = field(default_factory=MarketChange)
    records: list[RecordRow] = field(default_factory=list)
    open_interest: int = 0
