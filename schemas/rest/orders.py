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
)
from schemas.rest.bodies import ClientOrderId, DecimalText, Moment, Request, View


class OrderRequest(Request, frozen=True):
    """An order to place."""

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
    max_slippage: DecimalText | None = None


class CloseRequest(Request, frozen=True):
    """Closes this quantity of a position, at most all of it; without a quantity, all of it."""

    quantity: DecimalText | None = None


class OrderTaken(View, frozen=True):
    """An order was accepted (or had been before: then its current status)."""

    order_id: str
    status: OrderStatus


class CancelTaken(View, frozen=True):
    """A cancel was accepted; the order ends by an event."""

    order_id: str
    status: str = "PENDING_CANCEL"


class NotOpen(StrEnum):
    """Why an order cannot be cancelled: `details.reason` of ORDER_NOT_OPEN."""

    ENDED = "ENDED"
    CANCEL_PENDING = "CANCEL_PENDING"


class OrderView(View, frozen=True):
    """An order: every submitted field, and its state.

    `quantity` is the filled plus the remaining quantity. `cutQuantity` is what reduce-only has cut from the order. The two
    add up to the submitted quantity, and a FILLED order has always filled its `quantity`.

    `leverage` is the one in force for the account in the market, `leverageSince` when it was set (null: before that was
    recorded), `submittedLeverage` the one that the order carried. `liquidationFee` is set on a liquidation's order that has
    ended.
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
    leverage_since: str | None
    submitted_leverage: int | None
    liquidation_fee: str | None
    client_order_id: str | None
    expires_at: str | None
    valid_until: str | None
    cancel_requested_at: str | None
    created_at: str
    updated_at: str


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
    time: str
