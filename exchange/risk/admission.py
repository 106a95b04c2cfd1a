"""Admission of an order: market status, load, expiresAt and validUntil, filters and margin, in that order (docs/semantics.md, "Orders" and "Margin").

Pure: the account, the markets and the time are arguments. The result is the command to write and the new exposure, so
that the next decision in a batch sees it.
"""

from collections.abc import Mapping

import msgspec

from exchange.market_status import accepts_order
from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.margin import requirement_and_equity
from exchange.risk.order_draft import ParsedOrder, invalid
from exchange.risk.order_filters import FilterViolation, PricedOrder, first_breach, off_grid, price_order
from schemas.commands import PlaceOrder
from schemas.market import MarketSpec
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Micros, Timestamp, format_micros


class Admitted(msgspec.Struct, frozen=True):
    """An admitted order: the command to write, and the account's exposure in its market including the order."""

    command: PlaceOrder
    risk: PositionRisk


def admit(
    draft: ParsedOrder, account: MarginAccount, markets: Mapping[str, MarketState], now: Timestamp
) -> Admitted | Refused:
    """Decide one order against everything decided before it; the first refusal in the contract's order wins."""
    market = markets.get(draft.request.market_id)
    if market is None:
        return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": draft.request.market_id})
    spec, exposure = market.spec, account.risk_in(market).exposure
    lots = draft.quantity_e18 // spec.lot_size_e18
    is_reducing = draft.request.reduce_only or _can_only_reduce(draft.request.side, lots, exposure)
    if refused := _closed(draft.request, market, is_reducing=is_reducing) or _out_of_time(draft, now):
        return refused
    if breach := off_grid(spec, draft):
        return breach.refused
    order = price_order(spec, market.mark, draft)
    if breach := first_breach(spec, market.mark, draft, order, exposure, is_reducing=is_reducing):
        return breach.refused
    risk = PositionRisk(market, _with_order(spec, exposure, order, draft.request.leverage))
    is_bound = account.may_only_reduce
    if refused := _uncovered(account, risk, order, is_bound_to_reduce=is_bound):
        return refused
    command = _command(draft, order, account.account, risk.exposure.leverage, now=now, is_bound_to_reduce=is_bound)
    return Admitted(command, risk)


def set_leverage(
    market_id: str, leverage: int, account: MarginAccount, markets: Mapping[str, MarketState]
) -> PositionRisk | Refused:
    """The exposure of the account in a market with another leverage, for its position and live orders alike.

    Raising it is always allowed; lowering must be covered. Refused: MARKET_NOT_FOUND, INVALID_ORDER (above the market's
    highest), INSUFFICIENT_MARGIN.
    """
    market = markets.get(market_id)
    if market is None:
        return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": market_id})
    if not 1 <= leverage <= market.spec.leverage_max:
        return FilterViolation("MAX_LEVERAGE", market.spec.leverage_max, leverage).refused
    before = account.risk_in(market).exposure
    after = PositionRisk(market, msgspec.structs.replace(before, leverage=leverage))
    if leverage >= before.leverage:
        return after
    required, available = requirement_and_equity(account.having(after))
    return after if required <= available else _insufficient(required, available, "the lower leverage is not covered")


def _closed(request: OrderRequest, market: MarketState, *, is_reducing: bool) -> Refused | None:
    if not accepts_order(market.status, post_only=request.post_only, reduce_only=request.reduce_only):
        details = {"marketId": market.spec.market, "status": market.status.value}
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, f"the market is {market.status}", {**details})
    if (market.is_stale or market.is_backlogged) and not is_reducing:
        reason = "too many commands wait" if market.is_backlogged else "its commands or its mark are older than 10 s"
        message = f"{reason}; cancels and reducing orders are accepted"
        return Refused(ErrorCode.OVERLOADED, message, {"marketId": market.spec.market})
    return None


def _out_of_time(draft: ParsedOrder, now: Timestamp) -> Refused | None:
    if draft.expires_at is not None and draft.expires_at <= now:
        return invalid("expiresAt must lie in the future", "expiresAt")
    if draft.valid_until is not None and draft.valid_until < now:
        return invalid("validUntil has passed", "validUntil")
    return None


def _can_only_reduce(side: Side, lots: int, exposure: Exposure) -> bool:
    """Whether the order and all live orders of its side together cannot exceed the position."""
    live = exposure.buy_lots if side is Side.BUY else exposure.sell_lots
    return live + lots <= -side.sign * exposure.lots


def _with_order(spec: MarketSpec, exposure: Exposure, order: PricedOrder, leverage: int | None) -> Exposure:
    notional = spec.notional(order.margin_price, order.lots)
    is_buy = order.side is Side.BUY
    return Exposure(
        leverage=leverage or exposure.leverage,
        lots=exposure.lots,
        cost=exposure.cost,
        buy_notional=exposure.buy_notional + (notional if is_buy else 0),
        sell_notional=exposure.sell_notional + (0 if is_buy else notional),
        open_loss=exposure.open_loss + order.loss_per_lot * order.lots,
        open_fees=exposure.open_fees + order.fee_per_lot * order.lots,
        buy_lots=exposure.buy_lots + (order.lots if is_buy else 0),
        sell_lots=exposure.sell_lots + (0 if is_buy else order.lots),
        live_orders=exposure.live_orders + 1,
    )


def _uncovered(
    account: MarginAccount, risk: PositionRisk, order: PricedOrder, *, is_bound_to_reduce: bool
) -> Refused | None:
    """Refuse when the requirement with the order exceeds equity, unless it can only reduce and its losses are covered.

    `risk` is the exposure with the order. An account that is bound to reduce may place no other order. Open losses and
    fees are summed per market, not per side; counting both sides is conservative. A lower leverage must be covered in full.
    """
    required, available = requirement_and_equity(account.having(risk))
    if account.is_closing:
        return _insufficient(required, available, "the account's positions are being closed")
    before, exposure = account.risk_in(risk.market).exposure, risk.exposure
    can_only_reduce = _can_only_reduce(order.side, order.lots, before)
    if is_bound_to_reduce and not can_only_reduce:
        return _insufficient(required, available, "the account may only reduce its positions now")
    if required <= available:
        return None
    reduces = can_only_reduce and exposure.leverage >= before.leverage
    if reduces and exposure.open_loss + exposure.open_fees <= available:
        return None
    return _insufficient(required, available, "the order is not covered")


def _insufficient(required: Micros, available: Micros, message: str) -> Refused:
    details = {"required": format_micros(required), "available": format_micros(available)}
    return Refused(ErrorCode.INSUFFICIENT_MARGIN, message, {**details})


def _command(
    draft: ParsedOrder, order: PricedOrder, user: int, leverage: int, *, now: Timestamp, is_bound_to_reduce: bool
) -> PlaceOrder:
    """The command to write. If the account may only reduce, it is reduce-only: the position may be gone when it arrives."""
    request = draft.request
    return PlaceOrder(
        at=now,
        user=user,
        side=order.side,
        order_type=request.type,
        quantity=order.lots,
        price=order.price,
        time_in_force=_time_in_force(request),
        post_only=request.post_only,
        reduce_only=request.reduce_only or is_bound_to_reduce,
        self_trade_prevention=request.self_trade_prevention_mode,
        margin_price=order.margin_price,
        loss_per_lot=order.loss_per_lot,
        fee_per_lot=order.fee_per_lot,
        leverage=leverage,
        client_order_id=request.client_order_id,
        expires_at=draft.expires_at,
        valid_until=draft.valid_until,
    )


def _time_in_force(request: OrderRequest) -> TimeInForce:
    """A market order never rests: its default GTC means IOC."""
    is_market_gtc = request.type is OrderType.MARKET and request.time_in_force is TimeInForce.GTC
    return TimeInForce.IOC if is_market_gtc else request.time_in_force
