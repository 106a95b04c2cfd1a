"""Admission of an amend of an order that waits for its condition (docs/semantics.md, "Amend"): as a new one with the amended terms.

It has no margin before its trigger. What is reduce-only counts in the sums of what waits, until the verdict with the lots added.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from exchange.risk.account import MarginAccount, MarketState, PositionRisk
from exchange.risk.admission import closed
from exchange.risk.amending import AMENDS_MAX, AdmittedAmend, ParsedAmend
from exchange.risk.conditional import (
    PlacedLeg,
    Surroundings,
    adding,
    legs_breach,
    reference_price,
    size_breaches,
    uncovered_waiting,
    working_price,
    would_trigger,
)
from exchange.risk.order_draft import ParsedCondition, ParsedOrder, invalid
from exchange.risk.order_filters import FilterViolation, PricedOrder, off_grid
from schemas.commands import AmendOrder
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Lots, Micros, Ppm, Ticks, Timestamp


class WaitingOrder(msgspec.Struct, frozen=True, gc=False):
    """A conditional order that has not fired, as it is stored; it has filled nothing.

    `number` is its sequence in the market, `amends` how often it has been amended. `trigger`, `callback_rate` and `activation` are 0
    where it has none. `parent_price` is that of a parent which has not filled: its own condition counts once that has.
    `legs` are the orders attached to it that wait.
    """

    number: int
    market: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    reduce_only: bool
    closes_position: bool
    remaining: int
    price: int
    trigger: int
    working_type: WorkingType
    callback_rate: Ppm
    activation: int
    parent_price: Ticks | None
    amends: int
    legs: tuple[PlacedLeg, ...] = ()

    @property
    def terms(self) -> PricedOrder:
        """What it adds to the margin sums of live orders: nothing."""
        return self.counted_with(0)

    def counted_with(self, added: int) -> PricedOrder:
        """The same with lots added."""
        nothing, price = Micros(0), Ticks(self.price)
        return PricedOrder(self.side, Lots(self.remaining + added), price, Ticks(0), nothing, nothing, self.reduce_only)


class SurroundedMarket(NamedTuple):
    """A market, and what only conditional orders need to know of it."""

    market: MarketState
    around: Surroundings


def admit_waiting_amend(
    amend: ParsedAmend, order: WaitingOrder, account: MarginAccount, place: SurroundedMarket, now: Timestamp
) -> AdmittedAmend | Refused:
    """Decide one amend against everything decided before it, as `admit_waiting` a new order."""
    market, around = place
    spec, before = market.spec, account.risk_in(market).exposure
    condition = _condition(amend, order, spec.tick_size_e18)
    draft = _draft(amend, order, market, condition)
    if refused := _never(amend, order) or _legs_breach(amend, order, draft, market):
        return refused
    lots = draft.quantity_e18 // spec.lot_size_e18
    added = lots - order.remaining
    only_shrinks = amend.price_e18 is None and amend.trigger_e18 is None and added <= 0
    if refused := closed(draft, market, is_reducing=order.reduce_only or only_shrinks):
        return refused
    working = order.parent_price or working_price(condition, market, around)
    if breach := next(_breaches(amend, order, draft, market, working), None):
        return breach.refused
    counts = max(0, added) if order.reduce_only else 0
    after = adding(before, order.side, orders=0, closing=0, lots=counts)
    if not only_shrinks and (refused := uncovered_waiting(draft, lots, account, market, after)):
        return refused
    command = _command(amend, order, added, user=account.account, now=now, tick=spec.tick_size_e18)
    return AdmittedAmend(command, order.counted_with(max(0, added)), Micros(0), PositionRisk(market, after))


def _never(amend: ParsedAmend, order: WaitingOrder) -> Refused | None:
    """Why no such order has what is asked for."""
    if amend.quantity_e18 is not None and order.closes_position:
        return invalid("an order with closePosition closes the whole position: it has no quantity", "quantity")
    if amend.price_e18 is not None and not order.order_type.is_limit:
        return invalid(f"{order.order_type} has no price", "price")
    if amend.trigger_e18 is not None and order.order_type is OrderType.TRAILING_STOP_MARKET:
        return invalid(f"{order.order_type} has no triggerPrice", "triggerPrice")
    return None


def _legs_breach(amend: ParsedAmend, order: WaitingOrder, draft: ParsedOrder, market: MarketState) -> Refused | None:
    """Why the orders attached to this one may not have its new price, or its new trigger where it has no price."""
    if amend.price_e18 is None and amend.trigger_e18 is None:
        return None
    return legs_breach(order.legs, order.side, reference_price(draft, market), market.spec)


def _condition(amend: ParsedAmend, order: WaitingOrder, tick: int) -> ParsedCondition:
    return ParsedCondition(
        working_type=order.working_type,
        trigger_e18=amend.trigger_e18 or order.trigger * tick or None,
        callback_rate=order.callback_rate,
        activation_e18=order.activation * tick or None,
        closes_position=order.closes_position,
    )


def _draft(amend: ParsedAmend, order: WaitingOrder, market: MarketState, condition: ParsedCondition) -> ParsedOrder:
    """The order as a new one with the amended terms, which are read already."""
    quantity = order.remaining * market.spec.lot_size_e18 if amend.quantity_e18 is None else amend.quantity_e18
    price = amend.price_e18 or order.price * market.spec.tick_size_e18 or None
    request = OrderRequest(
        market_id=order.market,
        side=order.side,
        type=order.order_type,
        quantity=None,
        time_in_force=order.time_in_force,
        reduce_only=order.reduce_only,
        post_only=order.post_only,
        self_trade_prevention_mode=order.self_trade_prevention,
        close_position=order.closes_position,
    )
    return ParsedOrder(request, quantity, price, None, None, condition=condition)


def _breaches(
    amend: ParsedAmend, order: WaitingOrder, draft: ParsedOrder, market: MarketState, working: Ticks | None
) -> Iterator[FilterViolation]:
    if breach := off_grid(market.spec, draft):
        yield breach
    yield from size_breaches(draft, market)
    if amend.trigger_e18 is not None and (breach := would_trigger(draft, market, working)):
        yield breach
    if order.amends >= AMENDS_MAX:
        yield FilterViolation("MAX_AMENDS", AMENDS_MAX, order.amends + 1)


def _command(
    amend: ParsedAmend, order: WaitingOrder, added: int, *, user: int, now: Timestamp, tick: int
) -> AmendOrder:
    return AmendOrder(
        at=now,
        user=user,
        order=order.number,
        added=added,
        price=None if amend.price_e18 is None else Ticks(amend.price_e18 // tick),
        post_only=order.post_only,
        self_trade_prevention=order.self_trade_prevention,
        margin_price=Ticks(0),
        loss_per_lot=Micros(0),
        fee_per_lot=Micros(0),
        trigger=Ticks((amend.trigger_e18 or 0) // tick),
    )
