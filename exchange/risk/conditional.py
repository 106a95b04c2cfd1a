"""Admission of conditional orders, OCO groups and attached legs (docs/semantics.md, "Conditional orders").

A conditional order needs no margin before its trigger. What is reduce-only counts as waiting, so that it is covered when it fires.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from exchange.order_terms import condition_holds, fires_rising
from exchange.risk.account import NO_WAITING, Exposure, MarginAccount, MarketState, PositionRisk, WaitingSums
from exchange.risk.coverage import bound_refusal, can_only_reduce, insufficient
from exchange.risk.margin import order_costs, requirement_and_equity, total_requirement
from exchange.risk.order_draft import ParsedCondition, ParsedOrder
from exchange.risk.order_filters import FilterViolation, price_text, quantity_text
from schemas.commands import PlaceConditional
from schemas.market import RULES_FOURTH, MarketSpec
from schemas.orders import OrderType, Side, TimeInForce, WorkingType
from schemas.refusals import ErrorCode, Refused
from schemas.risk_tiers import NOTIONAL_MAX
from schemas.units import Lots, Ppm, Ticks, Timestamp, format_micros

OCO_ORDERS_MAX = 10
_BESIDE = (
    "not covered: when the order has reduced the position, the account's other orders on this side, which are not reduce-only,"
    " open one that its equity does not cover; cancel them first"
)


class Surroundings(NamedTuple):
    """What only conditional orders need to know: the market's other working prices, and who is in the OCO group.

    `index_price` is rounded to a tick; `last_price` is None before the first trade. `group_orders` are the open orders of the group.
    """

    index_price: Ticks
    last_price: Ticks | None
    group_orders: int = 0


def unknown_to(market: MarketState, what: str) -> Refused | None:
    """Why a market cannot have what it knows from the fourth rules on: the rules of its log are older."""
    if market.rules >= RULES_FOURTH:
        return None
    name = market.spec.market
    message = f"this market does not know {what} yet; an operator moves it with `market rules {name} {RULES_FOURTH}`"
    return Refused(ErrorCode.MARKET_NOT_ACTIVE, message, {"marketId": name, "reason": "RULES"})


def links_breach(draft: ParsedOrder, market: MarketState, before: Exposure, around: Surroundings) -> Refused | None:
    """The first fault of what the order comes with: too many conditional orders, a full group, a leg on the wrong side."""
    spec, request, held = market.spec, draft.request, before.waiting.orders
    if held + draft.conditional_orders > spec.conditional_orders_max and draft.conditional_orders:
        got = held + draft.conditional_orders
        return FilterViolation("MAX_CONDITIONAL_ORDERS", spec.conditional_orders_max, got).refused
    if request.oco_group is not None and around.group_orders >= OCO_ORDERS_MAX:
        return FilterViolation("MAX_OCO_ORDERS", OCO_ORDERS_MAX, around.group_orders + 1).refused
    legs = (PlacedLeg(leg.field, leg.order_type, Ticks(leg.trigger_e18 // spec.tick_size_e18)) for leg in draft.legs)
    return legs_breach(legs, request.side, reference_price(draft, market), spec)


class PlacedLeg(NamedTuple):
    """An attached order: the field that it came with, its type and its trigger."""

    field: str
    order_type: OrderType
    trigger: Ticks


def legs_breach(legs: Iterable[PlacedLeg], side: Side, reference: int, spec: MarketSpec) -> Refused | None:
    """Why legs may not be attached to an order of this side at this price: the first whose trigger is on the wrong side of it."""
    breaches = (_leg_breach(leg, side, reference, spec) for leg in legs)
    return next((breach for breach in breaches if breach is not None), None)


def _leg_breach(leg: PlacedLeg, side: Side, reference: int, spec: MarketSpec) -> Refused | None:
    rises = fires_rising(leg.order_type, side.opposite)
    if leg.trigger > reference if rises else leg.trigger < reference:
        return None
    message = f"{leg.field}.triggerPrice must be {'above' if rises else 'below'} {price_text(spec, reference)}, the price of the order"
    details: dict[str, str | int | bool | list[str] | None] = {
        "field": f"{leg.field}.triggerPrice",
        "limit": price_text(spec, reference),
        "got": price_text(spec, leg.trigger),
    }
    return Refused(ErrorCode.INVALID_ORDER, message, details)


def with_legs(exposure: Exposure, draft: ParsedOrder) -> Exposure:
    """The exposure with the orders attached to this one waiting."""
    if not draft.legs:
        return exposure
    return adding(exposure, draft.request.side.opposite, orders=len(draft.legs), closing=len(draft.legs))


def leg_commands(
    draft: ParsedOrder, spec: MarketSpec, user: int, leverage: int, now: Timestamp
) -> tuple[PlaceConditional, ...]:
    """The commands of the attached orders, which come right before that of the order itself."""
    request, count = draft.request, len(draft.legs)
    return tuple(
        PlaceConditional(
            at=now,
            user=user,
            side=request.side.opposite,
            order_type=leg.order_type,
            working_type=leg.working_type,
            trigger=Ticks(leg.trigger_e18 // spec.tick_size_e18),
            quantity=Lots(0),
            price=Ticks(0),
            time_in_force=TimeInForce.GTC,
            post_only=False,
            reduce_only=True,
            closes_position=True,
            self_trade_prevention=request.self_trade_prevention_mode,
            leverage=leverage,
            parent_after=count - place,
        )
        for place, leg in enumerate(draft.legs)
    )


class AdmittedWaiting(NamedTuple):
    """A conditional order to write, and the account's exposure with it and what is attached to it."""

    command: PlaceConditional
    exposure: Exposure


def admit_waiting(
    draft: ParsedOrder, account: MarginAccount, market: MarketState, around: Surroundings, now: Timestamp
) -> AdmittedWaiting | Refused:
    """Decide a conditional order whose syntax, grid and links are in order: its filters, and what it may cost when it fires."""
    spec, before, request, condition = market.spec, account.risk_in(market).exposure, draft.request, draft.condition
    if condition is None:
        raise ValueError(request.type)
    breach = next(size_breaches(draft, market), None) or would_trigger(
        draft, market, working_price(condition, market, around)
    )
    if breach is not None:
        return breach.refused
    lots = draft.quantity_e18 // spec.lot_size_e18
    leverage = request.leverage or before.leverage
    after = replace(with_legs(_with_waiting(before, draft, lots), draft), leverage=leverage)
    if refused := uncovered_waiting(draft, lots, account, market, after):
        return refused
    command = _command(draft, condition, _Terms(spec, account.account, leverage, now))
    return AdmittedWaiting(command, after)


def reference_price(draft: ParsedOrder, market: MarketState) -> int:
    """The price that the order is about: its limit, else its trigger or activation price, else the mark."""
    tick, condition = market.spec.tick_size_e18, draft.condition
    if draft.price_e18 is not None:
        return draft.price_e18 // tick
    stated = None if condition is None else condition.trigger_e18 or condition.activation_e18
    return market.mark if stated is None else stated // tick


def working_price(condition: ParsedCondition, market: MarketState, around: Surroundings) -> Ticks | None:
    """The price that the condition is about; None for the last price of a market without a trade."""
    match condition.working_type:
        case WorkingType.MARK:
            return market.mark
        case WorkingType.INDEX:
            return around.index_price
        case WorkingType.LAST:
            return around.last_price


def size_breaches(draft: ParsedOrder, market: MarketState) -> Iterator[FilterViolation]:
    """The filters of size and leverage that a conditional order fails."""
    spec, request = market.spec, draft.request
    lots = draft.quantity_e18 // spec.lot_size_e18
    if lots < spec.quantity_min and not draft.reduce_only:
        yield FilterViolation("MIN_QUANTITY", quantity_text(spec, spec.quantity_min), quantity_text(spec, lots))
    if lots > spec.quantity_max:
        yield FilterViolation("MAX_QUANTITY", quantity_text(spec, spec.quantity_max), quantity_text(spec, lots))
    if request.leverage is not None and request.leverage > (highest := spec.tiers[0].leverage_max):
        yield FilterViolation("MAX_LEVERAGE", highest, request.leverage)
    notional = spec.notional(reference_price(draft, market), lots)
    if notional < spec.notional_min and not draft.reduce_only:
        yield FilterViolation("MIN_NOTIONAL", format_micros(spec.notional_min), format_micros(notional))
    if notional > NOTIONAL_MAX:
        yield FilterViolation("MAX_NOTIONAL", format_micros(NOTIONAL_MAX), format_micros(notional))


def would_trigger(draft: ParsedOrder, market: MarketState, working: Ticks | None) -> FilterViolation | None:
    """The violation of a trigger whose condition holds at this working price; None of an order that trails."""
    spec, request, condition = market.spec, draft.request, draft.condition
    if condition is None or condition.trigger_e18 is None or working is None:
        return None
    trigger = condition.trigger_e18 // spec.tick_size_e18
    if not condition_holds(request.type, request.side, working, trigger):
        return None
    return FilterViolation("WOULD_TRIGGER", price_text(spec, trigger), price_text(spec, working))


def uncovered_waiting(
    draft: ParsedOrder, lots: int, account: MarginAccount, market: MarketState, after: Exposure
) -> Refused | None:
    """Why the account may not place a conditional order, or lower its leverage with it."""
    before, with_it = account.risk_in(market).exposure, account.having(PositionRisk(market, after))
    required, owned = requirement_and_equity(with_it)
    if account.may_only_reduce and (refused := bound_refusal(draft, lots, account, before, (required, owned))):
        return refused
    if required <= owned:
        return None
    if after.leverage < before.leverage:
        return insufficient(required, owned, "the lower leverage is not covered")
    if required <= total_requirement(account):
        return None  # it adds nothing to what is required
    is_covered = can_only_reduce(draft, lots, before, is_bound=False) and order_costs(with_it) <= owned
    return None if is_covered else insufficient(required, owned, _BESIDE)


def _with_waiting(exposure: Exposure, draft: ParsedOrder, lots: int) -> Exposure:
    closes = draft.request.close_position
    reduces = draft.reduce_only and not closes
    return adding(exposure, draft.request.side, orders=1, closing=int(closes), lots=lots if reduces else 0)


def adding(exposure: Exposure, side: Side, *, orders: int, closing: int, lots: int = 0) -> Exposure:
    """The exposure with more that waits on this side."""
    sums, is_buy = exposure.waiting, side is Side.BUY
    waiting = WaitingSums(
        buy_lots=sums.buy_lots + (lots if is_buy else 0),
        sell_lots=sums.sell_lots + (0 if is_buy else lots),
        closing_buys=sums.closing_buys + (closing if is_buy else 0),
        closing_sells=sums.closing_sells + (0 if is_buy else closing),
        orders=sums.orders + orders,
    )
    return replace(exposure, waiting=waiting if waiting.orders else NO_WAITING)


class _Terms(NamedTuple):
    """Of whom an order is, and in which market and when it is accepted."""

    spec: MarketSpec
    user: int
    leverage: int
    now: Timestamp


def _command(draft: ParsedOrder, condition: ParsedCondition, terms: _Terms) -> PlaceConditional:
    request, spec, tick = draft.request, terms.spec, terms.spec.tick_size_e18
    return PlaceConditional(
        at=terms.now,
        user=terms.user,
        side=request.side,
        order_type=request.type,
        working_type=condition.working_type,
        trigger=Ticks((condition.trigger_e18 or 0) // tick),
        quantity=Lots(draft.quantity_e18 // spec.lot_size_e18),
        price=Ticks((draft.price_e18 or 0) // tick),
        time_in_force=request.time_in_force,
        post_only=request.post_only,
        reduce_only=draft.reduce_only,
        closes_position=condition.closes_position,
        self_trade_prevention=request.self_trade_prevention_mode,
        leverage=terms.leverage,
        callback_rate=Ppm(condition.callback_rate),
        activation=Ticks((condition.activation_e18 or 0) // tick),
        client_order_id=request.client_order_id,
        expires_at=draft.expires_at,
        valid_until=draft.valid_until,
        oco_group=request.oco_group,
    )
