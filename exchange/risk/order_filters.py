"""The filters of a market (docs/semantics.md, "Orders"), and what an order adds to the margin sums per remaining lot."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from exchange.order_terms import margin_terms, protection_price, worst_fee_rate
from exchange.risk.account import Exposure, MarketState
from exchange.risk.order_draft import ParsedOrder
from schemas.market import MarketSpec
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode, Refused
from schemas.risk_tiers import NOTIONAL_MAX
from schemas.units import (
    PPM,
    Lots,
    Micros,
    Ticks,
    divide_up,
    format_e18,
    format_micros,
    format_ppm,
)

LIMITS = frozenset({"MAX_POSITION", "MAX_OPEN_INTEREST"})
"""The filters that a change of the market may leave accepted orders beyond. They come after all others."""


class PricedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order in the market's units: its limit or protection price, and the margin terms of each remaining lot.

    `excess_per_lot` of a reduce-only order: what loss and fee exceed the initial margin that closing the lot frees.
    """

    side: Side
    lots: Lots
    price: Ticks
    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros
    reduce_only: bool = False
    excess_per_lot: Micros = Micros(0)

    @property
    def cost_per_lot(self) -> int:
        """The most that a lot costs when it fills, loss against the mark and fee."""
        return self.loss_per_lot + self.fee_per_lot


class FilterViolation(NamedTuple):
    """A filter that an order does not pass; the limit and the order's value, as decimal strings or counts."""

    filter: str
    limit: str | int
    got: str | int

    @property
    def refused(self) -> Refused:
        """The answer to the client."""
        return Refused(
            ErrorCode.INVALID_ORDER,
            f"{self.filter}: limit {self.limit}, got {self.got}",
            {"filter": self.filter, "limit": self.limit, "got": self.got},
        )


def off_grid(spec: MarketSpec, draft: ParsedOrder) -> FilterViolation | None:
    """Quantities are whole lots; prices, also those of conditions, whole ticks."""
    if draft.quantity_e18 % spec.lot_size_e18:
        return FilterViolation("LOT_SIZE", format_e18(spec.lot_size_e18), format_e18(draft.quantity_e18))
    for price in _prices(draft):
        if price % spec.tick_size_e18:
            return FilterViolation("TICK_SIZE", format_e18(spec.tick_size_e18), format_e18(price))
    return None


def _prices(draft: ParsedOrder) -> Iterator[int]:
    if draft.price_e18 is not None:
        yield draft.price_e18
    if draft.condition is not None:
        yield draft.condition.trigger_e18 or 0
        yield draft.condition.activation_e18 or 0
    for leg in draft.legs:
        yield leg.trigger_e18


def price_order(
    spec: MarketSpec, mark: int, draft: ParsedOrder, *, reduce_only: bool, nearest: Ticks | None = None
) -> PricedOrder:
    """Price an order on the grid at this mark (docs/semantics.md, "Margin"); `nearest` is a market order's protection price."""
    request = draft.request
    if draft.price_e18 is not None:
        price = draft.price_e18 // spec.tick_size_e18
    else:
        price = nearest or protection_price(mark, request.side, draft.max_slippage or spec.take_bound)
    terms = margin_terms(spec, mark, request.side, price, post_only=request.post_only)
    value = terms.margin_price * spec.lot_value
    return PricedOrder(
        side=request.side,
        lots=Lots(draft.quantity_e18 // spec.lot_size_e18),
        price=Ticks(price),
        margin_price=terms.margin_price,
        loss_per_lot=terms.loss_per_lot,
        fee_per_lot=terms.fee_per_lot,
        reduce_only=reduce_only,
        excess_per_lot=reduce_only_excess(spec, request.side, value, terms.loss_per_lot, terms.fee_per_lot)
        if reduce_only
        else Micros(0),
    )


def reduce_only_excess(spec: MarketSpec, side: Side, margin_value: int, loss: int, fee: int) -> Micros:
    """What loss and fee of a lot exceed the initial margin that closing it frees: initialMarginRate x mark, rounded down.

    `margin_value` is a lot at the margin price. The mark at acceptance follows from it; for a price better than that mark
    the price is taken, at which a fill gains the difference. A function of the database computes the same.
    """
    reference = margin_value - (loss if side is Side.BUY else 0)
    return Micros(max(0, loss + fee - reference * spec.initial_margin_rate // PPM))


def covered_protection(spec: MarketSpec, mark: int, side: Side, cost_per_lot: int) -> Ticks:
    """The protection price farthest from the mark at which a lot costs at most this, loss and taker fee; at least one tick.

    Rounded to a tick in the account's favour, which is towards the mark. When not even the fee at the mark is covered, the
    price is beyond the mark, where the gain pays the rest of the fee.
    """
    value, rate = spec.lot_value, worst_fee_rate(spec)
    if side is Side.BUY:
        price = PPM * (mark * value + cost_per_lot) // (value * (PPM + rate))
    elif cost_per_lot >= (fee := divide_up(mark * value * rate, PPM)):  # a sell's fee is counted at the mark
        price = mark - (cost_per_lot - fee) // value
    else:
        price = divide_up(PPM * (mark * value - cost_per_lot), value * (PPM - rate))
    return Ticks(max(1, price))


def first_breach(
    market: MarketState,
    draft: ParsedOrder,
    order: PricedOrder,
    exposure: Exposure,
    *,
    is_reducing: bool,
    counted: PricedOrder | None = None,
) -> FilterViolation | None:
    """The first filter that the order fails; reducing orders are exempt from the smallest sizes and the largest positions.

    `counted`: what it adds to the margin sums, where that is not itself but less (what it has filled) or more.
    """
    breaches = _breaches(market, draft, order, exposure, is_reducing=is_reducing, counted=counted or order)
    return next(breaches, None)


def _breaches(
    market: MarketState,
    draft: ParsedOrder,
    order: PricedOrder,
    exposure: Exposure,
    *,
    is_reducing: bool,
    counted: PricedOrder,
) -> Iterator[FilterViolation]:
    spec, mark = market.spec, market.mark
    if order.lots < spec.quantity_min and not is_reducing:
        yield FilterViolation("MIN_QUANTITY", quantity_text(spec, spec.quantity_min), quantity_text(spec, order.lots))
    if order.lots > spec.quantity_max:
        yield FilterViolation("MAX_QUANTITY", quantity_text(spec, spec.quantity_max), quantity_text(spec, order.lots))
    if draft.request.leverage is not None and draft.request.leverage > (highest := spec.tiers[0].leverage_max):
        yield FilterViolation("MAX_LEVERAGE", highest, draft.request.leverage)
    if draft.max_slippage is not None and draft.max_slippage > spec.price_band:
        yield FilterViolation("MAX_SLIPPAGE", format_ppm(spec.price_band), format_ppm(draft.max_slippage))
    if beyond := beyond_band(spec, mark, order):
        yield beyond
    notional = spec.notional(mark if draft.request.type is OrderType.MARKET else order.price, order.lots)
    if notional < spec.notional_min and not is_reducing:
        yield FilterViolation("MIN_NOTIONAL", format_micros(spec.notional_min), format_micros(notional))
    yield from _commitment_breaches(market, counted, exposure)


def commitment_breach(market: MarketState, order: PricedOrder, exposure: Exposure) -> FilterViolation | None:
    """The first filter of what an account has at stake with the order.

    Its notional, the number of live orders, the side's sum, and the position and open interest that may result.
    """
    return next(_commitment_breaches(market, order, exposure), None)


def _commitment_breaches(market: MarketState, order: PricedOrder, exposure: Exposure) -> Iterator[FilterViolation]:
    spec = market.spec
    added = spec.notional(order.margin_price, order.lots)
    if added > NOTIONAL_MAX:
        yield FilterViolation("MAX_NOTIONAL", format_micros(NOTIONAL_MAX), format_micros(added))
    if exposure.live_orders >= spec.orders_max:
        yield FilterViolation("MAX_OPEN_ORDERS", spec.orders_max, exposure.live_orders + 1)
    committed = _committed(order.side, exposure) + added
    if committed >= NOTIONAL_MAX:
        yield FilterViolation("MAX_EXPOSURE", format_micros(NOTIONAL_MAX), format_micros(committed))
    if (spec.risk_tiers or spec.open_interest_max) and not order.reduce_only:
        yield from _beyond_limits(market, order, exposure)


def _beyond_limits(market: MarketState, order: PricedOrder, exposure: Exposure) -> Iterator[FilterViolation]:
    """Limits of the position and of the open interest that may result; what can only reduce is free."""
    spec, most, opened = market.spec, market.spec.open_interest_max, _opened_lots(order, exposure)
    if opened <= 0:
        return
    position = spec.notional(market.mark, _reachable_lots(order, exposure))
    if spec.risk_tiers and position > (largest := spec.risk_tiers[-1].notional_up_to):
        yield FilterViolation("MAX_POSITION", format_micros(largest), format_micros(position))
    interest = spec.notional(market.mark, market.open_interest + opened)
    if most and interest > most:
        yield FilterViolation("MAX_OPEN_INTEREST", format_micros(most), format_micros(interest))


def _reachable_lots(order: PricedOrder, exposure: Exposure) -> int:
    """The largest position on the order's side: one that is there, and all its orders that are not reduce-only, this one included.

    A position of the other side does not lower it: reduce-only orders, which are always accepted, may close that first.
    """
    return max(0, order.side.sign * exposure.lots) + exposure.naked_lots(order.side) + order.lots


def _opened_lots(order: PricedOrder, exposure: Exposure) -> int:
    """The most lots by which the order can raise the open interest: those that the position leaves it to open; none at 0 and below."""
    live = exposure.naked_lots(order.side) + order.lots
    return min(order.lots, live - max(0, exposure.closable_by(order.side)))


def _committed(side: Side, exposure: Exposure) -> int:
    """The notional that a side's live orders may still trade, plus a position that is already on that side.

    Counting the position keeps every cost that an account can reach within the database's range.
    """
    live = exposure.buy_notional if side is Side.BUY else exposure.sell_notional
    return live + max(0, side.sign * exposure.cost)


def beyond_band(spec: MarketSpec, mark: int, order: PricedOrder) -> FilterViolation | None:
    """The price band, if the order is beyond it.

    Only the aggressive side is bounded: a buy may not be far above mark, a sell not far below.
    """
    if order.side is Side.BUY:
        limit = mark * (PPM + spec.price_band) // PPM
        is_beyond = order.price > limit
    else:
        limit = divide_up(mark * (PPM - spec.price_band), PPM)
        is_beyond = order.price < limit
    return FilterViolation("PRICE_BAND", price_text(spec, limit), price_text(spec, order.price)) if is_beyond else None


def price_text(spec: MarketSpec, ticks: int) -> str:
    """A price in ticks as a decimal string."""
    return format_e18(ticks * spec.tick_size_e18)


def quantity_text(spec: MarketSpec, lots: int) -> str:
    """A quantity in lots as a decimal string."""
    return format_e18(lots * spec.lot_size_e18)
