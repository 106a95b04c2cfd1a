"""Admission of an amend (docs/semantics.md, "Amend"): as a new order with the amended terms, in place of the one that rests.

Until its verdict is known the order counts with the larger of old and new of each margin term, on its remaining lots and the lots
added: whichever of the two it is when it fills, its margin covers that.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.admission import closed, fits_position
from exchange.risk.conditional import PlacedLeg, legs_breach
from exchange.risk.coverage import cover_amended, without_order
from exchange.risk.order_draft import ParsedOrder, amount_or_none, invalid
from exchange.risk.order_filters import LIMITS, FilterViolation, PricedOrder, first_breach, off_grid, price_order
from schemas.commands import AmendOrder
from schemas.market import MarketSpec
from schemas.orders import OrderType, SelfTradePrevention, TimeInForce
from schemas.refusals import Refused
from schemas.rest.orders import AmendRequest, OrderRequest
from schemas.units import Lots, Micros, Ticks, Timestamp

AMENDS_MAX = 10_000
"""How often one order may be amended."""


class RestingOrder(msgspec.Struct, frozen=True, gc=False):
    """An order that may be amended, as it is stored: `terms` with its remaining lots and its margin terms, and what it has filled.

    `number` is its sequence in the market, `amends` how often it has been amended, `legs` the orders attached to it that wait.
    """

    number: int
    market: str
    terms: PricedOrder
    filled: int
    time_in_force: TimeInForce
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    amends: int
    legs: tuple[PlacedLeg, ...] = ()


class ParsedAmend(msgspec.Struct, frozen=True, gc=False):
    """A well-formed request to amend, its decimals read as integers of 10^-18; None for what stays."""

    quantity_e18: int | None
    price_e18: int | None
    trigger_e18: int | None = None


class AdmittedAmend(msgspec.Struct, frozen=True, gc=False):
    """An admitted amend: the command to write, the order as it counts until the verdict, and the account's exposure with it.

    `excess_per_lot` is that of the amended order alone.
    """

    command: AmendOrder
    counted: PricedOrder
    excess_per_lot: Micros
    risk: PositionRisk


def parse_amend(request: AmendRequest) -> ParsedAmend | Refused:
    """Read the decimals of a request; refused where it changes nothing."""
    if request.quantity is None and request.price is None and request.trigger_price is None:
        return invalid("an amend names a new quantity, price or triggerPrice", "quantity")
    quantity = amount_or_none(request.quantity, "quantity")
    if isinstance(quantity, Refused):
        return quantity
    price = amount_or_none(request.price, "price")
    if isinstance(price, Refused):
        return price
    trigger = amount_or_none(request.trigger_price, "triggerPrice")
    return trigger if isinstance(trigger, Refused) else ParsedAmend(quantity, price, trigger)


def admit_amend(
    amend: ParsedAmend, order: RestingOrder, account: MarginAccount, markets: Mapping[str, MarketState], now: Timestamp
) -> AdmittedAmend | Refused:
    """Decide one amend against everything decided before it; the first refusal in the order of `admit` wins."""
    market = markets[order.market]
    spec, old = market.spec, order.terms
    draft = _draft(amend, order, market)
    added = draft.quantity_e18 // spec.lot_size_e18 - (order.filled + old.lots)
    only_shrinks = draft.price_e18 == old.price * spec.tick_size_e18 and added <= 0
    exposure = without_order(spec, account.risk_in(market).exposure, old)
    is_reducing = old.reduce_only or fits_position(old.side, max(0, old.lots + added), exposure)
    if refused := closed(draft, market, is_reducing=is_reducing or only_shrinks):
        return refused
    if breach := off_grid(spec, draft):
        return breach.refused
    if refused := _no_trigger(amend) or _legs_breach(amend, order, spec):
        return refused
    new = price_order(spec, market.mark, draft, reduce_only=old.reduce_only)
    if only_shrinks:
        new = replace(old, lots=new.lots)
    counted = _counted(old, new, max(0, added))
    breach = first_breach(market, draft, new, exposure, is_reducing=is_reducing, counted=counted)
    if breach and only_shrinks and breach.filter in LIMITS:  # it only leaves less than was accepted
        breach = None
    if breach or order.amends >= AMENDS_MAX:
        return (breach or FilterViolation("MAX_AMENDS", AMENDS_MAX, order.amends + 1)).refused
    covered = _covered(draft, counted, account, PositionRisk(market, exposure), only_shrinks=only_shrinks)
    if isinstance(covered, Refused):
        return covered
    command = AmendOrder(
        at=now,
        user=account.account,
        order=order.number,
        added=added,
        price=None if amend.price_e18 is None else new.price,
        post_only=order.post_only,
        self_trade_prevention=order.self_trade_prevention,
        margin_price=new.margin_price,
        loss_per_lot=new.loss_per_lot,
        fee_per_lot=new.fee_per_lot,
    )
    return AdmittedAmend(command, counted, new.excess_per_lot, PositionRisk(market, covered))


def _no_trigger(amend: ParsedAmend) -> Refused | None:
    if amend.trigger_e18 is None:
        return None
    return invalid("only an order that waits for its condition has a triggerPrice", "triggerPrice")


def _legs_breach(amend: ParsedAmend, order: RestingOrder, spec: MarketSpec) -> Refused | None:
    """Why the new price is none that the orders attached to this one may have: the first whose trigger is on the wrong side of it."""
    if amend.price_e18 is None or not order.legs:
        return None
    price = amend.price_e18 // spec.tick_size_e18
    return legs_breach(order.legs, order.terms.side, price, spec)


def _draft(amend: ParsedAmend, order: RestingOrder, market: MarketState) -> ParsedOrder:
    """The order as a new one with the amended terms, which are read already: its quantity is the total."""
    spec, old = market.spec, order.terms
    quantity, price = amend.quantity_e18, amend.price_e18
    if quantity is None:
        quantity = (order.filled + old.lots) * spec.lot_size_e18
    if price is None:
        price = old.price * spec.tick_size_e18
    request = OrderRequest(
        market_id=order.market,
        side=old.side,
        type=OrderType.LIMIT,
        quantity=None,
        time_in_force=order.time_in_force,
        reduce_only=old.reduce_only,
        post_only=order.post_only,
        self_trade_prevention_mode=order.self_trade_prevention,
    )
    return ParsedOrder(request, quantity, price, None, None)


def _counted(old: PricedOrder, new: PricedOrder, added: int) -> PricedOrder:
    """The order as it counts until the verdict: the larger of each term, on what remains of it and the lots added."""
    return PricedOrder(
        side=old.side,
        lots=Lots(old.lots + added),
        price=new.price,
        margin_price=Ticks(max(old.margin_price, new.margin_price)),
        loss_per_lot=Micros(max(old.loss_per_lot, new.loss_per_lot)),
        fee_per_lot=Micros(max(old.fee_per_lot, new.fee_per_lot)),
        reduce_only=old.reduce_only,
        excess_per_lot=Micros(max(old.excess_per_lot, new.excess_per_lot)),
    )


def _covered(
    draft: ParsedOrder, counted: PricedOrder, account: MarginAccount, without: PositionRisk, *, only_shrinks: bool
) -> Exposure | Refused:
    """An order that only loses lots needs no cover: it keeps the margin that it has, and adds nothing."""
    if only_shrinks:
        return account.risk_in(without.market).exposure
    return cover_amended(draft, counted, account, without)
