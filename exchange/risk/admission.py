"""Whether an order may enter: market status, load, filters and margin, in that order (docs/semantics.md, "Orders" and "Margin").

Pure: the account, the markets and the time are handed in; what is admitted comes back as the command to write and the
exposure that results, so that the next decision in a batch sees it.
"""

from collections.abc import Mapping

import msgspec

from exchange.market_status import accepts_order
from exchange.risk.margin import Exposure, Holding, requirement_and_equity
from exchange.risk.order_draft import OrderDraft, invalid
from exchange.risk.order_filters import Breach, SizedOrder, first_breach, off_grid, size_order
from schemas.commands import OrderCreated
from schemas.market import MarketSpec, MarketStatus
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Micros, Ticks, Timestamp, format_micros


class MarketTerms(msgspec.Struct, frozen=True):
    """What admission must know of a market: its rules, its projected status and mark, and whether it lags behind.

    `is_frozen`: too few of its price sources are fresh, so that nobody knows what a position there is worth.
    """

    market_id: int
    spec: MarketSpec
    status: MarketStatus
    mark: Ticks
    is_stale: bool = False
    is_backlogged: bool = False
    is_frozen: bool = False


class Account(msgspec.Struct):
    """A user's wallet (micros) and his exposures by market name; the owner of a batch writes each decision back.

    `is_liquidated`: a liquidation of the account is under way, so that it may only reduce. `is_closing`: its positions are
    being closed without the book, at what they were when that was ordered, so that it may not even do that.
    """

    user: int
    wallet: Micros
    exposures: dict[str, Exposure]
    is_liquidated: bool = False
    is_closing: bool = False

    def exposure_in(self, spec: MarketSpec) -> Exposure:
        """The exposure in a market; leverage is the market's highest until the account sets one."""
        return self.exposures.get(spec.market) or Exposure(leverage=spec.leverage_max)


class Admitted(msgspec.Struct, frozen=True):
    """An order that may enter: the command to write, and the account's exposure in its market with it."""

    command: OrderCreated
    exposure: Exposure


def admit(
    draft: OrderDraft, account: Account, markets: Mapping[str, MarketTerms], now: Timestamp
) -> Admitted | Refused:
    """Decide one order against everything decided before it; the first refusal in the contract's order wins."""
    terms = markets.get(draft.request.market_id)
    if terms is None:
        return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": draft.request.market_id})
    exposure = account.exposure_in(terms.spec)
    lots = draft.quantity_e18 // terms.spec.lot_size_e18
    is_reducing = draft.request.reduce_only or _can_only_reduce(draft.request.side, lots, exposure)
    if refused := _closed(draft.request, terms, is_reducing=is_reducing) or _out_of_time(draft, now):
        return refused
    if breach := off_grid(terms.spec, draft):
        return breach.refused
    order = size_order(terms.spec, terms.mark, draft)
    if breach := first_breach(terms.spec, terms.mark, draft, order, exposure, is_reducing=is_reducing):
        return breach.refused
    after = _with_order(terms.spec, exposure, order, draft.request.leverage)
    holdings = [_holding(terms, after), *_others(account, markets, terms.spec.market)]
    is_bound = may_only_reduce(account, markets)
    if refused := _uncovered(account, holdings, order, exposure, is_bound_to_reduce=is_bound):
        return refused
    return Admitted(_command(draft, order, account.user, after.leverage, now=now, is_bound_to_reduce=is_bound), after)


def may_only_reduce(account: Account, markets: Mapping[str, MarketTerms]) -> bool:
    """Whether the account is being liquidated, or has a position that nobody can value (docs/semantics.md, "Margin")."""
    return account.is_liquidated or any(
        held.lots and markets[name].is_frozen for name, held in account.exposures.items()
    )


def set_leverage(
    market: str, leverage: int, account: Account, markets: Mapping[str, MarketTerms]
) -> Exposure | Refused:
    """The exposure of the account in a market with another leverage, for its position and live orders alike.

    Raising it is always allowed; lowering must be covered. Refused: MARKET_NOT_FOUND, INVALID_ORDER (above the market's
    highest), INSUFFICIENT_MARGIN.
    """
    terms = markets.get(market)
    if terms is None:
        return Refused(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": market})
    if not 1 <= leverage <= terms.spec.leverage_max:
        return Breach("MAX_LEVERAGE", terms.spec.leverage_max, leverage).refused
    before = account.exposure_in(terms.spec)
    after = msgspec.structs.replace(before, leverage=leverage)
    if leverage >= before.leverage:
        return after
    holdings = [*_others(account, markets, market), _holding(terms, after)]
    required, available = requirement_and_equity(account.wallet, holdings)
    return after if required <= available else _insufficient(required, available, "the lower leverage is not covered")


def _closed(request: OrderRequest, terms: MarketTerms, *, is_reducing: bool) -> Refused | None:
    if not accepts_order(terms.status, post_only=request.post_only, reduce_only=request.reduce_only):
        details = {"marketId": terms.spec.market, "status": terms.status.value}
        return Refused(ErrorCode.MARKET_NOT_ACTIVE, f"the market is {terms.status}", {**details})
    if (terms.is_stale or terms.is_backlogged) and not is_reducing:
        message = "too many commands wait; cancels and reducing orders are taken"
        return Refused(ErrorCode.OVERLOADED, message, {"marketId": terms.spec.market})
    return None


def _out_of_time(draft: OrderDraft, now: Timestamp) -> Refused | None:
    if draft.expires_at is not None and draft.expires_at <= now:
        return invalid("expiresAt must lie in the future", "expiresAt")
    if draft.valid_until is not None and draft.valid_until < now:
        return invalid("validUntil has passed", "validUntil")
    return None


def _can_only_reduce(side: Side, lots: int, exposure: Exposure) -> bool:
    """Whether it and all live orders of its side together cannot exceed the position."""
    live = exposure.buy_lots if side is Side.BUY else exposure.sell_lots
    return live + lots <= -side.sign * exposure.lots


def _with_order(spec: MarketSpec, exposure: Exposure, order: SizedOrder, leverage: int | None) -> Exposure:
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


def _holding(terms: MarketTerms, exposure: Exposure) -> Holding:
    return Holding(terms.spec, terms.mark, exposure)


def _uncovered(
    account: Account, holdings: list[Holding], order: SizedOrder, before: Exposure, *, is_bound_to_reduce: bool
) -> Refused | None:
    """Refuse when the requirement with the order exceeds equity, unless it can only reduce and its losses are covered.

    The first holding is the order's market with it. An account that is bound to reduce gets no other order in. Open
    losses and fees are kept per market, not per side; taking both sides' is the careful reading. Lowering the leverage
    must be covered in full.
    """
    after = holdings[0].exposure
    required, available = requirement_and_equity(account.wallet, holdings)
    if account.is_closing:
        return _insufficient(required, available, "the account's positions are being closed")
    can_only_reduce = _can_only_reduce(order.side, order.lots, before)
    if is_bound_to_reduce and not can_only_reduce:
        return _insufficient(required, available, "the account may only reduce its positions now")
    if required <= available:
        return None
    reduces = can_only_reduce and after.leverage >= before.leverage
    if reduces and after.open_loss + after.open_fees <= available:
        return None
    return _insufficient(required, available, "the order is not covered")


def _insufficient(required: Micros, available: Micros, message: str) -> Refused:
    details = {"required": format_micros(required), "available": format_micros(available)}
    return Refused(ErrorCode.INSUFFICIENT_MARGIN, message, {**details})


def _others(account: Account, markets: Mapping[str, MarketTerms], market: str) -> list[Holding]:
    return [_holding(markets[name], held) for name, held in account.exposures.items() if name != market]


def _command(
    draft: OrderDraft, order: SizedOrder, user: int, leverage: int, *, now: Timestamp, is_bound_to_reduce: bool
) -> OrderCreated:
    """Where the account may only reduce, the engine holds the order to it: the position may be gone when it arrives."""
    request = draft.request
    return OrderCreated(
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
