"""Orders and their fills."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from schemas.orders import (
    EndReason,
    FillCause,
    LiquidityRole,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    WorkingType,
)
from schemas.rest.bodies import ClientOrderId, DecimalText, Moment, OcoGroup, Request, TimeText, View


class LegRequest(Request, frozen=True):
    """A take-profit or stop-loss of an order: it closes the position at market once the working price reaches the trigger."""

    trigger_price: DecimalText
    working_type: WorkingType = WorkingType.MARK


class OrderRequest(Request, frozen=True):
    """An order to place.

    LIMIT, STOP and TAKE_PROFIT need a `price`. All types but LIMIT and MARKET wait for their condition: STOP, TAKE_PROFIT,
    STOP_MARKET and TAKE_PROFIT_MARKET for `triggerPrice`, TRAILING_STOP_MARKET until the price has moved by `callbackRate`
    (0.001 to 0.1) against its best since `activationPrice`. `workingType` is the price meant, by default MARK.

    `closePosition`, for the types that end in _MARKET, closes whatever the position is then; the order has no `quantity` and is
    reduce-only. Of the orders in an `ocoGroup` the first one that fires or fills cancels the others. `takeProfit` and `stopLoss`
    are orders of their own that wait for the first fill of this one, then close the position.
    """

    market_id: Annotated[str, Meta(min_length=1, max_length=32)]
    side: Side
    type: OrderType
    quantity: DecimalText | None = None
    price: DecimalText | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    post_only: bool = False
    client_order_id: ClientOrderId | None = None
    leverage: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    self_trade_prevention_mode: SelfTradePrevention = SelfTradePrevention.EXPIRE_MAKER
    expires_at: Moment | None = None
    valid_until: Moment | None = None
    max_slippage: DecimalText | None = None
    trigger_price: DecimalText | None = None
    working_type: WorkingType | None = None
    close_position: bool = False
    callback_rate: DecimalText | None = None
    activation_price: DecimalText | None = None
    oco_group: OcoGroup | None = None
    take_profit: LegRequest | None = None
    stop_loss: LegRequest | None = None


class CloseRequest(Request, frozen=True):
    """Closes this quantity of a position, at most all of it; without a quantity, all of it."""

    quantity: DecimalText | None = None


class OrderTaken(View, frozen=True, omit_defaults=True):
    """An order was accepted (or had been before: then its current status), with the orders attached to it."""

    order_id: str
    status: OrderStatus
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None


class CancelTaken(View, frozen=True):
    """A cancel was accepted; the order ends by an event."""

    order_id: str
    status: str = "PENDING_CANCEL"


class AmendRequest(Request, frozen=True):
    """The new terms of an order; what is left out stays. `quantity` is the total, what has been filled included.

    `triggerPrice` is for an order that waits for its condition.
    """

    quantity: DecimalText | None = None
    price: DecimalText | None = None
    trigger_price: DecimalText | None = None


class AmendTaken(View, frozen=True):
    """An amend was accepted; an event gives the order its new terms, or refuses them."""

    order_id: str
    status: str = "PENDING_AMEND"


class NotOpen(StrEnum):
    """Why an order cannot be cancelled or amended: `details.reason` of ORDER_NOT_OPEN.

    TRIGGERED: a conditional order cannot be amended from its trigger until it is in the book.
    """

    ENDED = "ENDED"
    CANCEL_PENDING = "CANCEL_PENDING"
    AMEND_PENDING = "AMEND_PENDING"
    TRIGGERED = "TRIGGERED"


class OrderView(View, frozen=True, omit_defaults=True):
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
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: str
    cut_quantity: str
    price: str | None
    protection_price: str | None
    max_slippage: str | None
    remaining_quantity: str
    filled_quantity: str
    average_price: str | None
    status: OrderStatus
    reason: EndReason | None
    best_opposite_price: str | None
    reduce_only: bool
    post_only: bool
    self_trade_prevention_mode: SelfTradePrevention
    leverage: int
    leverage_since: TimeText | None
    submitted_leverage: int | None
    liquidation_fee: str | None
    client_order_id: str | None
    expires_at: TimeText | None
    valid_until: TimeText | None
    cancel_requested_at: TimeText | None
    created_at: TimeText
    updated_at: TimeText
    trigger_price: str | None = None
    working_type: WorkingType | None = None
    close_position: bool = False
    callback_rate: str | None = None
    activation_price: str | None = None
    oco_group: str | None = None
    parent_order_id: str | None = None
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None
    triggered_at: TimeText | None = None
    triggered_working_price: str | None = None


class FillView(View, frozen=True):
    """One side of a trade. Take-overs and deleveragings have no order; `notional` is the amount at which they settled.

    `fee` is in `feeAsset`, the quote asset of the market.
    """

    trade_id: str
    order_id: str | None
    client_order_id: str | None
    market_id: str
    side: Side
    liquidity_role: LiquidityRole
    price: str
    quantity: str
    notional: str
    fee: str
    fee_asset: str
    realized_pnl: str
    event_id: str
    cause: FillCause
    time: TimeText
