"""Bodies of the REST contract (docs/rest.md): what clients send and what they are answered.

Requests refuse unknown fields. Money, prices and quantities are decimal strings, times ISO 8601 UTC.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from schemas.market import MarketStatus
from schemas.orders import (
    EndReason,
    FillCause,
    LiquidityRole,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from schemas.units import DECIMAL_PATTERN

T = TypeVar("T")

DecimalText = Annotated[
    str, Meta(pattern=DECIMAL_PATTERN[:-1] + r"$(?!\n)", max_length=37, description="A decimal number as a string")
]
ClientOrderId = Annotated[str, Meta(pattern=r"^[.A-Z:/a-z0-9_-]{1,36}$(?!\n)", description="Unique per user for ever")]
Email = Annotated[str, Meta(pattern=r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,190}$(?!\n)", max_length=254)]
Password = Annotated[str, Meta(min_length=8, max_length=128)]
Moment = Annotated[datetime, Meta(tz=True)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A body from outside."""


class Credentials(Request, frozen=True):
    """Registers a user or logs him in."""

    email: Email
    password: Password


class DepositRequest(Request, frozen=True):
    """Credits an account; `userId` is for administrators in production."""

    asset: Annotated[str, Meta(min_length=1, max_length=16)]
    amount: DecimalText
    user_id: Annotated[str, Meta(max_length=20)] | None = None


class WithdrawalRequest(Request, frozen=True):
    """Takes the caller's own money out."""

    asset: Annotated[str, Meta(min_length=1, max_length=16)]
    amount: DecimalText


class OrderRequest(Request, frozen=True):
    """An order as a client writes it."""

    market_id: Annotated[str, Meta(min_length=1, max_length=32)]
    side: Side
    type: OrderType
    quantity: DecimalText
    price: DecimalText | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    post_only: bool = False
    client_order_id: ClientOrderId | None = None
    leverage: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    self_trade_prevention_mode: SelfTradePrevention = SelfTradePrevention.EXPIRE_MAKER
    expires_at: Moment | None = None
    valid_until: Moment | None = None


class LeverageRequest(Request, frozen=True):
    """Sets the caller's leverage in one market."""

    leverage: Annotated[int, Meta(ge=1, le=1_000)]


class DrainRequest(Request, frozen=True):
    """Which market to drain; all of them when none is named."""

    market_id: Annotated[str, Meta(min_length=1, max_length=32)] | None = None


class View(msgspec.Struct, frozen=True, rename="camel"):
    """A body that we answer."""


class Registered(View, frozen=True):
    """A new user."""

    user_id: str


class LoggedIn(View, frozen=True):
    """A bearer token and whose it is."""

    token: str
    user_id: str


class MeView(View, frozen=True):
    """Who the caller is."""

    user_id: str
    email: str
    role: str
    created_at: str


class OrderTaken(View, frozen=True):
    """An order was taken on (or had been: then its present status)."""

    order_id: str
    status: OrderStatus


class CancelTaken(View, frozen=True):
    """A cancel was taken on; the order ends by an event."""

    order_id: str
    status: str = "PENDING_CANCEL"


class MarketView(View, frozen=True):
    """A market with its parameters, its status, its mark and the version of the rules it is matched by."""

    id: str
    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    min_quantity: str
    max_quantity: str
    min_notional: str
    price_band: str
    max_open_orders: int
    max_leverage: int
    initial_margin_rate: str
    maintenance_margin_rate: str
    maker_fee_rate: str
    taker_fee_rate: str
    funding_interval_hours: int
    funding_rate_cap: str
    reference_price: str
    index_price: str
    mark_price: str
    funding_rate: str
    predicted_funding_rate: str | None
    next_funding_time: str | None
    status: MarketStatus
    rules: int


class BalanceView(View, frozen=True):
    """Money of an account: `total` is the wallet, `available` what can be withdrawn, `locked` the difference."""

    asset: str
    total: str
    locked: str
    available: str
    available_margin: str


class PositionView(View, frozen=True):
    """An open position, valued at mark. `adlRank`: 4 for the fifth of its side that is deleveraged first, 0 for the last."""

    market_id: str
    side: str
    quantity: str
    entry_price: str
    mark_price: str
    unrealized_pnl: str
    realized_pnl: str
    leverage: int
    liquidation_price: str | None
    initial_margin: str
    maintenance_margin: str
    adl_rank: int


class OrderView(View, frozen=True):
    """An order with every field submitted and what became of it.

    `quantity` is what the order is for: filled plus remaining. What reduce-only has taken from it is `cut_quantity`, so
    the two together are what was submitted, and a FILLED order has always filled its quantity.
    """

    order_id: str
    market_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: str
    cut_quantity: str
    price: str | None
    protection_price: str | None
    remaining_quantity: str
    filled_quantity: str
    average_price: str | None
    status: OrderStatus
    reason: EndReason | None
    best_opposite_price: str | None
    reduce_only: bool
    post_only: bool
    self_trade_prevention_mode: SelfTradePrevention
    leverage: int | None
    client_order_id: str | None
    expires_at: str | None
    valid_until: str | None
    cancel_requested_at: str | None
    created_at: str
    updated_at: str


class FillView(View, frozen=True):
    """One side of a trade. A take-over and a deleveraging come without an order; `notional` is what they settled at."""

    trade_id: str
    order_id: str | None
    market_id: str
    side: Side
    liquidity_role: LiquidityRole
    price: str
    quantity: str
    notional: str
    fee: str
    realized_pnl: str
    event_id: str
    cause: FillCause
    time: str


class LeverageView(View, frozen=True):
    """The account's leverage in a market, what it makes position and orders there need, and what is left of its margin."""

    market_id: str
    leverage: int
    max_leverage: int
    initial_margin: str
    maintenance_margin: str
    available_margin: str


class LedgerEntryView(View, frozen=True):
    """One line of the ledger. `balanceAfter` is the wallet after it; a house account carries none.

    `referenceId` is the trade, order or transfer that it was for, else the event.
    """

    entry_id: str
    type: str
    cause: FillCause | None
    asset: str
    amount: str
    balance_after: str | None
    reference_id: str
    event_id: str | None
    market_id: str | None
    time: str


class FundingPaymentView(View, frozen=True):
    """What a position paid (below zero) or was paid at a funding; `time` is the end of its interval."""

    market_id: str
    side: str
    quantity: str
    mark_price: str
    rate: str
    amount: str
    event_id: str
    time: str


class FundingView(View, frozen=True):
    """One funding of a market: the rate, and what it was computed from. `isVoid`: its end was missed, or had no mark."""

    time: str
    rate: str
    mean_premium: str
    mark_price: str
    index_price: str
    is_void: bool
    event_id: str


class MarketFundingView(View, frozen=True):
    """Funding of a market now, and a page of its history, newest first."""

    market_id: str
    funding_rate: str
    predicted_funding_rate: str | None
    next_funding_time: str | None
    index_price: str
    mark_price: str
    data: list[FundingView]
    next_cursor: str | None


class ReceiptView(View, frozen=True):
    """The receipt of one forced action: everything it was decided on, and what came of it once `doneAt` is there."""

    liquidation_id: str
    step: int
    kind: str
    action: str
    market_id: str | None
    order_id: str | None
    inputs: dict[str, Any]
    outcome: dict[str, Any] | None
    event_id: str | None
    time: str
    done_at: str | None
    started_at: str
    ended_at: str | None


class InventoryView(View, frozen=True):
    """A position that the insurance fund has taken over, at mark."""

    market_id: str
    side: str
    quantity: str
    entry_price: str
    mark_price: str
    unrealized_pnl: str


class InsuranceFundView(View, frozen=True):
    """The insurance fund: its money, what it has taken over, both together, and a page of its ledger, newest first."""

    asset: str
    wallet: str
    unrealized_pnl: str
    equity: str
    positions: list[InventoryView]
    data: list[LedgerEntryView]
    next_cursor: str | None


class DrainedMarket(View, frozen=True):
    """Where a market stood when the barrier had passed the projection."""

    market_id: str
    command_sequence: int
    event_sequence: int
    event_hash: str


class Drained(View, frozen=True):
    """Everything accepted before the call is matched and persisted; `processed` commands were persisted meanwhile."""

    processed: int
    markets: list[DrainedMarket]


class Page(View, Generic[T], frozen=True):
    """One page of a list, newest first unless its route says otherwise; `nextCursor` leads to the next one."""

    data: list[T]
    next_cursor: str | None


class ErrorBody(View, frozen=True):
    """What went wrong: a stable code, a sentence, facts, and the request it belongs to."""

    code: str
    message: str
    request_id: str
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorView(View, frozen=True):
    """The body of every refusal and failure."""

    error: ErrorBody
