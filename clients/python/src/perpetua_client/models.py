"""The bodies of REST: what is sent, and what is answered.

Written by `python -m app.release.client_models` from the structs of the exchange; a test compares them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

OrderType = Literal[
    "LIMIT", "MARKET", "STOP", "TAKE_PROFIT", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"
]
SelfTradePrevention = Literal["EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"]
Side = Literal["BUY", "SELL"]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTD"]
WorkingType = Literal["MARK", "LAST", "INDEX"]


class LegRequest(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A take-profit or stop-loss of an order: it closes the position at market once the working price reaches the trigger."""

    trigger_price: Decimal
    working_type: WorkingType = "MARK"


class OrderRequest(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """An order to place.

    LIMIT, STOP and TAKE_PROFIT need a `price`. All types but LIMIT and MARKET wait for their condition: STOP, TAKE_PROFIT,
    STOP_MARKET and TAKE_PROFIT_MARKET for `triggerPrice`, TRAILING_STOP_MARKET until the price has moved by `callbackRate`
    (0.001 to 0.1) against its best since `activationPrice`. `workingType` is the price meant, by default MARK.

    `closePosition`, for the types that end in _MARKET, closes whatever the position is then; the order has no `quantity` and is
    reduce-only. Of the orders in an `ocoGroup` the first one that fires or fills cancels the others. `takeProfit` and `stopLoss`
    are orders of their own that wait for the first fill of this one, then close the position.
    """

    market_id: str
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    reduce_only: bool = False
    post_only: bool = False
    client_order_id: str | None = None
    leverage: int | None = None
    self_trade_prevention_mode: SelfTradePrevention = "EXPIRE_MAKER"
    expires_at: datetime | None = None
    valid_until: datetime | None = None
    max_slippage: Decimal | None = None
    trigger_price: Decimal | None = None
    working_type: WorkingType | None = None
    close_position: bool = False
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    oco_group: str | None = None
    take_profit: LegRequest | None = None
    stop_loss: LegRequest | None = None


class AmendRequest(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """The new terms of an order; what is left out stays. `quantity` is the total, what has been filled included.

    `triggerPrice` is for an order that waits for its condition.
    """

    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class WithdrawalRequest(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Withdraws from the caller's account; `code` is needed where TOTP is enabled."""

    asset: str
    amount: Decimal
    code: str | None = None


class OrderTaken(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An order was accepted (or had been before: then its current status), with the orders attached to it."""

    order_id: str
    status: str
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None


class CancelTaken(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A cancel was accepted; the order ends by an event."""

    order_id: str
    status: str = "PENDING_CANCEL"


class AmendTaken(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An amend was accepted; an event gives the order its new terms, or refuses them."""

    order_id: str
    status: str = "PENDING_AMEND"


class Order(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An order: every submitted field, and its state.

    `quantity` is the filled plus the remaining quantity. `cutQuantity` is what reduce-only has cut from the order. The two
    add up to the submitted quantity, until an amend changes it, and a FILLED order has always filled its `quantity`.

    `leverage` is the one in force for the account in the market, `leverageSince` when it was set (null: before that was
    recorded), `submittedLeverage` the one that the order carried. `liquidationFee` is set on a liquidation's order that has
    ended.

    A conditional order is UNTRIGGERED, then TRIGGERED since `triggeredAt`, when the working price was `triggeredWorkingPrice`; one
    that closes the position has no quantity before. `parentOrderId` names the order that a take-profit or stop-loss is attached
    to, `takeProfitOrderId` and `stopLossOrderId` those attached to this one, which share an `ocoGroup` of the exchange. Of these
    fields, from `triggerPrice` on, those that do not apply are left out.
    """

    order_id: str
    market_id: str
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    cut_quantity: Decimal
    price: Decimal | None
    protection_price: Decimal | None
    max_slippage: Decimal | None
    remaining_quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal | None
    status: str
    reason: str | None
    best_opposite_price: Decimal | None
    reduce_only: bool
    post_only: bool
    self_trade_prevention_mode: str
    leverage: int
    leverage_since: datetime | None
    submitted_leverage: int | None
    liquidation_fee: Decimal | None
    client_order_id: str | None
    expires_at: datetime | None
    valid_until: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    updated_at: datetime
    trigger_price: Decimal | None = None
    working_type: str | None = None
    close_position: bool = False
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    oco_group: str | None = None
    parent_order_id: str | None = None
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None
    triggered_at: datetime | None = None
    triggered_working_price: Decimal | None = None


class Fill(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One side of a trade. Take-overs and deleveragings have no order; `notional` is the amount at which they settled.

    `fee` is in `feeAsset`, the quote asset of the market.
    """

    trade_id: str
    order_id: str | None
    client_order_id: str | None
    market_id: str
    side: str
    liquidity_role: str
    price: Decimal
    quantity: Decimal
    notional: Decimal
    fee: Decimal
    fee_asset: str
    realized_pnl: Decimal
    event_id: str
    cause: str
    time: datetime


class Refusal(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Why it was refused: the same as the error of a single request."""

    code: str
    message: str
    details: dict[str, Any] | None


class OrderAnswer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The result of one order of several: accepted under `commandId`, or refused with `error`.

    `isReplay`: its `clientOrderId` was already used with the same body. The ids of the orders attached to it are there if it has any.
    """

    order_id: str | None
    status: str | None
    command_id: str | None
    is_replay: bool
    error: Refusal | None
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None


class OrderAnswers(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A result for every order, in the order of the request."""

    orders: list[OrderAnswer]


class Balance(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Money of an account: `total` is the wallet, `available` what can be withdrawn, `locked` the difference."""

    asset: str
    total: Decimal
    locked: Decimal
    available: Decimal
    available_margin: Decimal


class Position(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An open position, valued at mark. `adlRank` is 4 for the fifth of its side's open interest that is deleveraged first, 0 for the last.

    `leverage` is the one in force in the market, `leverageSince` when it was set; null if that was before it was recorded.
    """

    market_id: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    leverage: int
    leverage_since: datetime | None
    liquidation_price: Decimal | None
    initial_margin: Decimal
    maintenance_margin: Decimal
    adl_rank: int


class Leverage(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The account's leverage in a market, the margin that its position and orders there require, and the account's available margin.

    `maxLeverage` is that of the lowest risk tier; in a tier with a lower one, the leverage counts as the tier's.
    """

    market_id: str
    leverage: int
    max_leverage: int
    initial_margin: Decimal
    maintenance_margin: Decimal
    available_margin: Decimal


class LedgerEntry(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One line of the ledger. `balanceAfter` is the wallet after this entry; null for house accounts.

    `referenceId` is the trade, order or transfer of the entry, else the event. In the fund's ledger it names no order.
    """

    entry_id: str
    type: str
    cause: str | None
    asset: str
    amount: Decimal
    balance_after: Decimal | None
    reference_id: str
    event_id: str | None
    market_id: str | None
    time: datetime


class Time(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The time of the exchange, with which a client compares its own clock."""

    time: datetime


class RiskTier(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The rates of the part of a position's notional up to `notionalUpTo`, above the tier before."""

    notional_up_to: Decimal
    initial_margin_rate: Decimal
    maintenance_margin_rate: Decimal
    max_leverage: int


class Market(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A market with its parameters, status, mark and rules version.

    `maxLeverage` and the margin rates are those of the first of `riskTiers`. The last tier's `notionalUpTo` is the largest position.
    `maxOpenInterest` is in the quote asset, "0" for no limit. `maxConditionalOrders` is there if it has conditional orders.
    """

    id: str
    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    price_band: Decimal
    take_bound: Decimal
    max_open_orders: int
    max_leverage: int
    initial_margin_rate: Decimal
    maintenance_margin_rate: Decimal
    risk_tiers: list[RiskTier]
    max_open_interest: Decimal
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    funding_interval_hours: int
    funding_rate_cap: Decimal
    reference_price: Decimal
    index_price: Decimal
    mark_price: Decimal
    funding_rate: Decimal
    predicted_funding_rate: Decimal | None
    next_funding_time: datetime | None
    status: str
    rules: int
    max_conditional_orders: int | None = None


class Funding(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One funding of a market: the rate, and the values it was computed from. `isVoid`: the interval's end was missed or had no mark."""

    time: datetime
    rate: Decimal
    mean_premium: Decimal
    mark_price: Decimal
    index_price: Decimal
    is_void: bool
    event_id: str


class FundingPayment(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The funding that a position paid (negative `amount`) or received; `time` is the end of the funding interval."""

    market_id: str
    side: str
    quantity: Decimal
    mark_price: Decimal
    rate: Decimal
    amount: Decimal
    event_id: str
    time: datetime


class BookLevel(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One price level: the remaining quantity of its orders, and their number."""

    price: Decimal
    quantity: Decimal
    orders: int


class OrderBook(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The best levels of a book, bids falling and asks rising, exactly as of event `sequence` of the market.

    `time` is the time of that event.
    """

    market_id: str
    sequence: int
    time: datetime
    bids: list[BookLevel]
    asks: list[BookLevel]


class Trade(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A trade on the order book, without its parties. `sequence` is the market's trade counter.

    `cause` distinguishes the trades of a liquidation from all others.
    """

    trade_id: str
    sequence: int
    price: Decimal
    quantity: Decimal
    notional: Decimal
    taker_side: str
    cause: str
    time: datetime


class Candle(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The trades of one interval from `time` on: first, highest, lowest and last price, and the traded volume.

    First and last are by trade counter. Without trades, all four prices are the close of the previous candle.
    """

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal
    trades: int


class Ticker(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A market at a glance as of event `sequence`: last trade, touch, mark, funding, and the last 24 hours.

    The 24 hours begin with the minute that was in progress a day ago. `change24h` is from their first trade to the last one,
    `changeRate24h` the same as a fraction. Without trades these fields are null.
    """

    market_id: str
    status: str
    sequence: int
    time: datetime
    last_price: Decimal | None
    last_quantity: Decimal | None
    last_time: datetime | None
    best_bid: BookLevel | None
    best_ask: BookLevel | None
    mark_price: Decimal
    index_price: Decimal
    funding_rate: Decimal
    predicted_funding_rate: Decimal | None
    next_funding_time: datetime | None
    open_interest: Decimal
    volume_24h: Decimal = msgspec.field(name="volume24h")
    notional_24h: Decimal = msgspec.field(name="notional24h")
    trades_24h: int = msgspec.field(name="trades24h")
    open_24h: Decimal | None = msgspec.field(name="open24h")
    high_24h: Decimal | None = msgspec.field(name="high24h")
    low_24h: Decimal | None = msgspec.field(name="low24h")
    change_24h: Decimal | None = msgspec.field(name="change24h")
    change_rate_24h: Decimal | None = msgspec.field(name="changeRate24h")


class PublicFill(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A trade as the public sees it: its parties are named by order ids only.

    A take-over by the insurance fund or a deleveraging (`cause`) has no orders; its notional is the amount it
    settled at, and its price is derived from that.
    """

    market_id: str
    sequence: int
    trade_id: str
    event_id: str
    time: datetime
    price: Decimal
    quantity: Decimal
    notional: Decimal
    taker_side: str
    maker_order_id: str | None
    taker_order_id: str | None
    cause: str
    schema_version: int = 1


class Countdown(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The countdown of a market; `cancelsAt` is null where it was stopped."""

    market_id: str
    countdown_ms: int
    cancels_at: datetime | None
