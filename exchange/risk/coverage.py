"""Whether equity covers an order (docs/semantics.md, "Margin"), and at what protection price a market order is covered.

An order is covered when the requirement with it does not exceed equity. One that can only reduce the position is also
covered when equity pays for all that the live orders can cost; it is then reduce-only, whatever was asked, because an order
that may open a position must be covered in full.
"""

from msgspec.structs import replace

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.margin import order_costs, requirement_and_equity
from exchange.risk.order_draft import ParsedOrder
from exchange.risk.order_filters import PricedOrder, covered_protection, price_order
from schemas.market import MarketSpec
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode, Refused
from schemas.units import Ticks, format_e18, format_micros

FROZEN = "the mark is frozen, because too few price sources are fresh; cancels are accepted"
_ONLY_REDUCES = "the account is being liquidated and may only reduce its positions"
_CLOSING = "the account's positions are being closed without the book; try again in a moment"
_OTHERS_OPEN = (
    "not covered: with its other orders on this side, which are not reduce-only, the account could open a position that its"
    " equity does not cover; cancel them first"
)
_MARKET_ORDER = (
    "the order is not covered: a market order needs the margin of its protection price, its loss against the mark there and"
    " the taker fee; a smaller maxSlippage needs less"
)


def cover(draft: ParsedOrder, order: PricedOrder, account: MarginAccount, market: MarketState) -> PricedOrder | Refused:
    """The order as it is covered, or why it is not.

    A market order that can only reduce is not refused while equity is positive: where equity does not cover its loss at the
    usual protection price, it gets a nearer one. A lower leverage must be covered in full.
    """
    before = account.risk_in(market).exposure
    after = with_order(market.spec, before, order, draft.request.leverage)
    required, owned = requirement_and_equity(account.having(PositionRisk(market, after)))
    can_only_reduce = _can_only_reduce(draft, order, before, is_bound=account.may_only_reduce)
    if refused := _bound(account, required, owned, can_only_reduce=can_only_reduce):
        return refused
    if required <= owned:
        return order
    if can_only_reduce and after.leverage >= before.leverage:
        reduction = _reduction(draft, order, account, market, owned)
        if reduction is not None:
            return reduction
    return _uncovered(draft, order, before, market.spec, (required, owned))


def with_order(spec: MarketSpec, exposure: Exposure, order: PricedOrder, leverage: int | None) -> Exposure:
    """The exposure with one more live order, and with the leverage that the order sets, if it sets one."""
    notional, cost = spec.notional(order.margin_price, order.lots), order.cost_per_lot * order.lots
    bought, sold = (1, 0) if order.side is Side.BUY else (0, 1)
    after = Exposure(
        leverage=leverage or exposure.leverage,
        lots=exposure.lots,
        cost=exposure.cost,
        buy_notional=exposure.buy_notional + bought * notional,
        sell_notional=exposure.sell_notional + sold * notional,
        open_loss=exposure.open_loss + order.loss_per_lot * order.lots,
        open_fees=exposure.open_fees + order.fee_per_lot * order.lots,
        buy_lots=exposure.buy_lots + bought * order.lots,
        sell_lots=exposure.sell_lots + sold * order.lots,
        live_orders=exposure.live_orders + 1,
        reduce_buy_lots=exposure.reduce_buy_lots,
        reduce_sell_lots=exposure.reduce_sell_lots,
        reduce_buy_notional=exposure.reduce_buy_notional,
        reduce_sell_notional=exposure.reduce_sell_notional,
        reduce_buy_cost=exposure.reduce_buy_cost,
        reduce_sell_cost=exposure.reduce_sell_cost,
        reduce_excess=exposure.reduce_excess,
    )
    if not order.reduce_only:
        return after
    return replace(
        after,
        reduce_buy_lots=exposure.reduce_buy_lots + bought * order.lots,
        reduce_sell_lots=exposure.reduce_sell_lots + sold * order.lots,
        reduce_buy_notional=exposure.reduce_buy_notional + bought * notional,
        reduce_sell_notional=exposure.reduce_sell_notional + sold * notional,
        reduce_buy_cost=exposure.reduce_buy_cost + bought * cost,
        reduce_sell_cost=exposure.reduce_sell_cost + sold * cost,
        reduce_excess=exposure.reduce_excess + order.excess_per_lot * order.lots,
    )


def insufficient(required: int, available: int, message: str, **more: str) -> Refused:
    """INSUFFICIENT_MARGIN with the whole requirement and equity."""
    details = {"required": format_micros(required), "available": format_micros(available)}
    return Refused(ErrorCode.INSUFFICIENT_MARGIN, message, {**details, **more})


def _can_only_reduce(draft: ParsedOrder, order: PricedOrder, exposure: Exposure, *, is_bound: bool) -> bool:
    """Whether the order cannot open a position: it asks to be reduce-only, or fits into the position.

    With it must fit the other orders of its side that are not reduce-only, which it would leave to open a position. Of an
    account that is bound to reduce all orders of the side must fit.
    """
    live = exposure.naked_lots(order.side)
    if not draft.request.reduce_only:
        live = order.lots + (exposure.live_lots(order.side) if is_bound else live)
    return 0 < exposure.closable_by(order.side) >= live


def _bound(account: MarginAccount, required: int, owned: int, *, can_only_reduce: bool) -> Refused | None:
    """Why an account that may only reduce may not place the order, for the reason that binds it."""
    if account.is_closing:
        return _not_now(required, owned, "POSITIONS_CLOSING", _CLOSING)
    if can_only_reduce:
        return None
    if (frozen := account.frozen_market) is not None:
        message = f"the mark of {frozen}, where the account has a position, is frozen: it may only reduce its positions"
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, message, {"marketId": frozen, "reason": "MARK_FROZEN"})
    if account.liquidation_id is not None:
        return _not_now(required, owned, "LIQUIDATION", _ONLY_REDUCES)
    return None


def _not_now(required: int, owned: int, reason: str, message: str) -> Refused:
    """INSUFFICIENT_MARGIN only where the margin is insufficient."""
    if required > owned:
        return insufficient(required, owned, message, reason=reason)
    return Refused(ErrorCode.MARKET_NOT_ACTIVE, message, {"reason": reason})


def _reduction(
    draft: ParsedOrder, order: PricedOrder, account: MarginAccount, market: MarketState, owned: int
) -> PricedOrder | None:
    """The order as a reduce-only one that equity pays for together with all live orders; None where it cannot.

    It can close no more than the position and what live orders of the other side may add to it before it arrives.
    """
    spec, exposure = market.spec, account.risk_in(market).exposure
    reducing = price_order(spec, market.mark, draft, reduce_only=True)
    lots = min(order.lots, exposure.closable_by(order.side) + exposure.naked_lots(order.side.opposite))
    left = owned - order_costs(account)
    if reducing.cost_per_lot * lots <= left:
        return reducing
    if draft.price_e18 is not None or owned <= 0:
        return None
    covered = covered_protection(spec, market.mark, order.side, max(0, left) // lots)
    nearest = min(reducing.price, covered) if order.side is Side.BUY else max(reducing.price, covered)
    return price_order(spec, market.mark, draft, reduce_only=True, nearest=Ticks(nearest))


def _uncovered(
    draft: ParsedOrder, order: PricedOrder, before: Exposure, spec: MarketSpec, sums: tuple[int, int]
) -> Refused:
    required, owned = sums
    is_market = draft.request.type is OrderType.MARKET
    shown = {"protectionPrice": format_e18(order.price * spec.tick_size_e18)} if is_market else {}
    if order.reduce_only and before.naked_lots(order.side) > before.closable_by(order.side) > 0:
        return insufficient(required, owned, _OTHERS_OPEN, **shown)
    return insufficient(required, owned, _MARKET_ORDER if is_market else "the order is not covered", **shown)
