"""Whether equity covers an order (docs/semantics.md, "Margin"), and at what protection price a market order is covered.

An order is covered when the requirement with it does not exceed equity. One that can only reduce the position is also
covered when equity pays for all that the live orders can cost; it is then reduce-only, whatever was asked, because an order
that may open a position must be covered in full.
"""

from typing import NamedTuple

from msgspec.structs import replace

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk, ReduceOnlySums
from exchange.risk.margin import order_costs, requirement_and_equity
from exchange.risk.order_draft import ParsedOrder
from exchange.risk.order_filters import PricedOrder, covered_protection, price_order
from schemas.market import MarketSpec
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode, Refused
from schemas.units import Lots, Micros, Ticks, format_e18, format_micros

FROZEN = "the mark is frozen, because too few price sources are fresh; cancels are accepted"
_ONLY_REDUCES = "the account is being liquidated and may only reduce its positions"
_FROZEN = "an operator has frozen the account: it may only reduce its positions; cancels are accepted"
_CLOSING = "the account's positions are being closed without the book; try again in a moment"
_OTHERS_OPEN = (
    "not covered: with its other orders on this side, which are not reduce-only, the account could open a position that its"
    " equity does not cover; cancel them first"
)
_MARKET_ORDER = (
    "the order is not covered: a market order needs the margin of its protection price, its loss against the mark there and"
    " the taker fee; a smaller maxSlippage needs less"
)


class Covered(NamedTuple):
    """An order as it is covered, and the account's exposure in its market with it."""

    order: PricedOrder
    exposure: Exposure


def cover(
    draft: ParsedOrder, order: PricedOrder, account: MarginAccount, market: MarketState, *, is_bound: bool
) -> Covered | Refused:
    """The order as it is covered, or why it is not; `is_bound`: the account may only reduce.

    Of a reduce-only order, which may add nothing to the requirement, equity also covers what all orders can cost.
    A market order that can only reduce is not refused while equity is positive: where equity does not cover its loss at the
    usual protection price, it gets a nearer one. A lower leverage must be covered in full.
    """
    before, leverage = account.risk_in(market).exposure, draft.request.leverage
    after = with_order(market.spec, before, order, leverage)
    with_it = account.having(PositionRisk(market, after))
    required, owned = requirement_and_equity(with_it)
    if is_bound and (refused := bound_refusal(draft, order.lots, account, before, (required, owned))):
        return refused
    if order.reduce_only:
        required = Micros(max(required, order_costs(with_it)))
    if required <= owned:
        return Covered(order, after)
    if after.leverage >= before.leverage and can_only_reduce(draft, order.lots, before, is_bound=is_bound):
        reduction = _reduction(draft, order, account, market, owned)
        if reduction is not None:
            return Covered(reduction, with_order(market.spec, before, reduction, leverage))
    return _uncovered(draft, order, before, market.spec, (required, owned))


def can_only_reduce(draft: ParsedOrder, lots: int, exposure: Exposure, *, is_bound: bool) -> bool:
    """Whether an order cannot open a position: it asks to be reduce-only, or fits into the position.

    With it must fit the other orders of its side that are not reduce-only, which it would leave to open a position. Of an
    account that is bound to reduce all orders of the side must fit.
    """
    side = draft.request.side
    live = exposure.naked_lots(side)
    if not draft.reduce_only:
        live = lots + (exposure.live_lots(side) if is_bound else live)
    return 0 < exposure.closable_by(side) >= live


def with_order(spec: MarketSpec, exposure: Exposure, order: PricedOrder, leverage: int | None) -> Exposure:
    """The exposure with one more live order, and with the leverage that the order sets, if it sets one."""
    notional, is_buy = spec.notional(order.margin_price, order.lots), order.side is Side.BUY
    reducing = exposure.reduce_only
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
        reduce_only=_with_reduction(reducing, order, notional) if order.reduce_only else reducing,
        waiting=exposure.waiting,
    )


def without_order(spec: MarketSpec, exposure: Exposure, order: PricedOrder) -> Exposure:
    """The exposure without one of its live orders."""
    less = with_order(spec, exposure, replace(order, lots=Lots(-order.lots)), None)
    return replace(less, live_orders=exposure.live_orders - 1)


def cover_amended(
    draft: ParsedOrder, counted: PricedOrder, account: MarginAccount, without: PositionRisk
) -> Exposure | Refused:
    """The exposure with an order as it counts while its amend is under way, or why that is not covered.

    `without` is the exposure without the order. What raises nothing needs no cover. An order that may open a position must be
    covered in full, and does not become reduce-only as a new one may: of an account that may only reduce, it stays as it is.
    """
    market, before = without.market, without.exposure
    after = with_order(market.spec, before, counted, None)
    with_it = account.having(PositionRisk(market, after))
    required, owned = requirement_and_equity(with_it)
    is_reduction = draft.reduce_only and can_only_reduce(draft, counted.lots, before, is_bound=False)
    if account.is_closing or (account.may_only_reduce and not is_reduction):
        return _why_bound(account, required, owned)
    if counted.reduce_only:
        required = Micros(max(required, order_costs(with_it)))
    if required <= owned or after == account.risk_in(market).exposure:
        return after
    if is_reduction:
        left = owned - order_costs(account.having(without))
        if counted.cost_per_lot * _closable(counted, before) <= left:
            return after
    return _uncovered(draft, counted, before, market.spec, (required, owned))


def _closable(order: PricedOrder, exposure: Exposure) -> int:
    """The most lots that a reduce-only order can close: the position, and what live orders of the other side may add to it."""
    return min(order.lots, exposure.closable_by(order.side) + exposure.naked_lots(order.side.opposite))


def _with_reduction(sums: ReduceOnlySums, order: PricedOrder, notional: int) -> ReduceOnlySums:
    bought, sold = (1, 0) if order.side is Side.BUY else (0, 1)
    cost = order.cost_per_lot * order.lots
    return ReduceOnlySums(
        buy_lots=sums.buy_lots + bought * order.lots,
        sell_lots=sums.sell_lots + sold * order.lots,
        buy_notional=sums.buy_notional + bought * notional,
        sell_notional=sums.sell_notional + sold * notional,
        buy_cost=sums.buy_cost + bought * cost,
        sell_cost=sums.sell_cost + sold * cost,
        excess=sums.excess + order.excess_per_lot * order.lots,
    )


def insufficient(required: int, available: int, message: str, **more: str) -> Refused:
    """INSUFFICIENT_MARGIN with the whole requirement and equity."""
    details = {"required": format_micros(required), "available": format_micros(available)}
    return Refused(ErrorCode.INSUFFICIENT_MARGIN, message, {**details, **more})


def bound_refusal(
    draft: ParsedOrder, lots: int, account: MarginAccount, before: Exposure, sums: tuple[int, int]
) -> Refused | None:
    """Why an account that may only reduce may not place the order, for the reason that binds it.

    An order that waits must be reduce-only itself: what it would fit into when it fires is not known.
    """
    may_wait = draft.condition is None or draft.reduce_only
    if not account.is_closing and may_wait and can_only_reduce(draft, lots, before, is_bound=True):
        return None
    return _why_bound(account, *sums)


def _why_bound(account: MarginAccount, required: int, owned: int) -> Refused:
    if account.is_closing:
        return _not_now(required, owned, "POSITIONS_CLOSING", _CLOSING)
    if (frozen := account.frozen_market) is not None:
        message = f"the mark of {frozen}, where the account has a position, is frozen: it may only reduce its positions"
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, message, {"marketId": frozen, "reason": "MARK_FROZEN"})
    if account.liquidation_id is None:
        return _not_now(required, owned, "ACCOUNT_FROZEN", _FROZEN)
    return _not_now(required, owned, "LIQUIDATION", _ONLY_REDUCES)


def _not_now(required: int, owned: int, reason: str, message: str) -> Refused:
    """INSUFFICIENT_MARGIN only where the margin is insufficient."""
    if required > owned:
        return insufficient(required, owned, message, reason=reason)
    return Refused(ErrorCode.MARKET_NOT_ACTIVE, message, {"reason": reason})


def _reduction(
    draft: ParsedOrder, order: PricedOrder, account: MarginAccount, market: MarketState, owned: int
) -> PricedOrder | None:
    """The order as a reduce-only one that equity pays for together with all live orders; None where it cannot."""
    spec, exposure = market.spec, account.risk_in(market).exposure
    reducing = price_order(spec, market.mark, draft, reduce_only=True)
    lots = _closable(order, exposure)
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
