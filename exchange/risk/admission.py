"""Admission of an order: market status, load, expiresAt and validUntil, filters and margin, in that order (docs/semantics.md, "Orders" and "Margin").

Pure: the account, the markets and the time are arguments. The result is the command to write and the new exposure, so
that the next decision in a batch sees it.
"""

from collections.abc import Mapping

import msgspec

from exchange.market_status import accepts_order
from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.conditional import Surroundings, admit_waiting, leg_commands, links_breach, unknown_to, with_legs
from exchange.risk.coverage import FROZEN, can_only_reduce, cover, insufficient
from exchange.risk.margin import requirement_and_equity
from exchange.risk.order_draft import ParsedOrder, invalid
from exchange.risk.order_filters import FilterViolation, PricedOrder, first_breach, off_grid, price_order
from schemas.commands import PlaceConditional, PlaceOrder
from schemas.market import MarketStatus
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp


class Admitted(msgspec.Struct, frozen=True):
    """An admitted order: the command to write, and the account's exposure in its market including the order.

    `legs` are the commands of the orders attached to it, which come right before it.
    """

    command: PlaceOrder | PlaceConditional
    risk: PositionRisk
    legs: tuple[PlaceConditional, ...] = ()


def admit(
    draft: ParsedOrder,
    account: MarginAccount,
    markets: Mapping[str, MarketState],
    now: Timestamp,
    around: Surroundings | None = None,
) -> Admitted | Refused:
    """Decide one order against everything decided before it; the first refusal in the contract's order wins.

    `around` is there for an order that only a market with conditional orders knows.
    """
    market = markets.get(draft.request.market_id)
    if market is None:
        return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": draft.request.market_id})
    spec, exposure = market.spec, account.risk_in(market).exposure
    request, lots = draft.request, draft.quantity_e18 // spec.lot_size_e18
    is_reducing = draft.reduce_only or fits_position(request.side, lots, exposure)
    refused = closed(draft, market, is_reducing=is_reducing) or _out_of_time(draft, now)
    if refused := refused or _unfit(draft, market, exposure, around):
        return refused
    if draft.condition is None or around is None:
        return _admit_now(draft, account, market, now, is_reducing=is_reducing)
    waiting = admit_waiting(draft, account, market, around, now)
    if isinstance(waiting, Refused):
        return waiting
    legs = leg_commands(draft, spec, account.account, waiting.exposure.leverage, now)
    return Admitted(waiting.command, PositionRisk(market, waiting.exposure), legs)


def _admit_now(
    draft: ParsedOrder, account: MarginAccount, market: MarketState, now: Timestamp, *, is_reducing: bool
) -> Admitted | Refused:
    """Decide an order that enters the book when it arrives: filters and margin, with what is attached to it waiting."""
    spec, exposure = market.spec, account.risk_in(market).exposure
    request, lots = draft.request, draft.quantity_e18 // spec.lot_size_e18
    is_bound = account.may_only_reduce
    reduce_only = request.reduce_only or (is_bound and can_only_reduce(draft, lots, exposure, is_bound=True))
    order = price_order(spec, market.mark, draft, reduce_only=reduce_only)
    if breach := first_breach(market, draft, order, exposure, is_reducing=is_reducing):
        return breach.refused
    if draft.legs:
        account = account.having(PositionRisk(market, with_legs(exposure, draft)))
    covered = cover(draft, order, account, market, is_bound=is_bound)
    if isinstance(covered, Refused):
        return covered
    leverage = covered.exposure.leverage
    command = _command(draft, covered.order, account.account, leverage, now=now)
    legs = leg_commands(draft, spec, account.account, leverage, now)
    return Admitted(command, PositionRisk(market, covered.exposure), legs)


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
    highest = market.spec.tiers[0].leverage_max
    if not 1 <= leverage <= highest:
        return FilterViolation("MAX_LEVERAGE", highest, leverage).refused
    before = account.risk_in(market).exposure
    after = PositionRisk(market, msgspec.structs.replace(before, leverage=leverage))
    if leverage >= before.leverage:
        return after
    required, available = requirement_and_equity(account.having(after))
    return after if required <= available else insufficient(required, available, "the lower leverage is not covered")


def _unfit(draft: ParsedOrder, market: MarketState, exposure: Exposure, around: Surroundings | None) -> Refused | None:
    """Why the market cannot have the order: its rules, its grid, or what the order comes with."""
    if draft.is_of_conditional_rules and (refused := unknown_to(market, "conditional orders")):
        return refused
    if breach := off_grid(market.spec, draft):
        return breach.refused
    if not draft.is_of_conditional_rules:
        return None
    if around is None:
        raise ValueError(draft.request.type)
    return links_breach(draft, market, exposure, around)


def closed(draft: ParsedOrder, market: MarketState, *, is_reducing: bool) -> Refused | None:
    """Why the market does not accept the order now, because of its status or its load."""
    if not accepts_order(market.status, post_only=draft.request.post_only, reduce_only=draft.reduce_only):
        details = {"marketId": market.spec.market, "status": market.status.value}
        if market.is_frozen and market.status is MarketStatus.CANCEL_ONLY:
            return Refused(ErrorCode.MARKET_NOT_ACTIVE, FROZEN, {**details, "reason": "MARK_FROZEN"})
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, f"the market is {market.status}", {**details})
    if (market.is_stale or market.is_backlogged) and not is_reducing:
        reason, why = _load(market)
        message = f"{why}; cancels and reducing orders are accepted"
        return Refused(ErrorCode.OVERLOADED, message, {"marketId": market.spec.market, "reason": reason})
    return None


def _load(market: MarketState) -> tuple[str, str]:
    if market.is_backlogged:
        return "BACKLOG", "too many commands wait"
    if market.is_mark_old:
        return "MARK_OLD", "its mark is older than 10 s"
    return "COMMANDS_OLD", "its oldest command has waited for more than 10 s"


def _out_of_time(draft: ParsedOrder, now: Timestamp) -> Refused | None:
    if draft.expires_at is not None and draft.expires_at <= now:
        return invalid("expiresAt must lie in the future", "expiresAt")
    if draft.valid_until is not None and draft.valid_until < now:
        return invalid("validUntil has passed", "validUntil")
    return None


def _command(draft: ParsedOrder, order: PricedOrder, user: int, leverage: int, *, now: Timestamp) -> PlaceOrder:
    """The command to write. It is reduce-only when that is why it is accepted: the position may be gone when it arrives."""
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
        reduce_only=order.reduce_only,
        self_trade_prevention=request.self_trade_prevention_mode,
        margin_price=order.margin_price,
        loss_per_lot=order.loss_per_lot,
        fee_per_lot=order.fee_per_lot,
        leverage=leverage,
        client_order_id=request.client_order_id,
        expires_at=draft.expires_at,
        valid_until=draft.valid_until,
        oco_group=msgspec.UNSET if request.oco_group is None else request.oco_group,
    )


def fits_position(side: Side, lots: int, exposure: Exposure) -> bool:
    """Whether the order, with the live orders of its side that are not reduce-only, cannot exceed the position."""
    return exposure.naked_lots(side) + lots <= exposure.closable_by(side)


def _time_in_force(request: OrderRequest) -> TimeInForce:
    """A market order never rests: its default GTC means IOC."""
    is_market_gtc = request.type is OrderType.MARKET and request.time_in_force is TimeInForce.GTC
    return TimeInForce.IOC if is_market_gtc else request.time_in_force
