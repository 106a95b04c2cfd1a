"""The syntax of an order request: the checks, and the hash, that need no market and no clock."""

from hashlib import blake2b
from typing import NamedTuple

from schemas.orders import OrderType, TimeInForce, WorkingType
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from schemas.units import (
    AMOUNT_MAX_E18,
    MICRO_E18,
    Ppm,
    Timestamp,
    format_e18,
    parse_decimal_e18,
    parse_whole_units,
    timestamp_of,
)

TIMESTAMP_MAX = Timestamp(253_370_764_800_000_000)
"""Times in a request lie before the year 9999, so that every zone and the database can write them."""
_REQUEST_HASH_BYTES = 16
_PPM_E18 = MICRO_E18


CALLBACK_MIN, CALLBACK_MAX = Ppm(1_000), Ppm(100_000)
"""The bounds of a trailing order's callback rate."""


class ParsedCondition(NamedTuple):
    """The condition of a conditional order; a trailing one has a callback rate and no trigger."""

    working_type: WorkingType
    trigger_e18: int | None
    callback_rate: Ppm
    activation_e18: int | None
    closes_position: bool


class ParsedLeg(NamedTuple):
    """An attached take-profit or stop-loss."""

    field: str
    order_type: OrderType
    trigger_e18: int
    working_type: WorkingType


class ParsedOrder(NamedTuple):
    """A well-formed order, its decimals read as integers of 10^-18, not yet fitted to a market's grid.

    The quantity of an order that closes the position is 0.
    """

    request: OrderRequest
    quantity_e18: int
    price_e18: int | None
    expires_at: Timestamp | None
    valid_until: Timestamp | None
    max_slippage: Ppm | None = None
    condition: ParsedCondition | None = None
    legs: tuple[ParsedLeg, ...] = ()

    @property
    def reduce_only(self) -> bool:
        """Whether it may only reduce the position."""
        return self.request.reduce_only or self.request.close_position

    @property
    def conditional_orders(self) -> int:
        """How many conditional orders it is, with those attached to it."""
        return len(self.legs) + (self.condition is not None)

    @property
    def is_of_conditional_rules(self) -> bool:
        """Whether only a market that knows conditional orders knows it."""
        return bool(self.conditional_orders or self.request.oco_group)


def invalid(message: str, field: str) -> Refused:
    """The INVALID_ORDER of a malformed field."""
    return Refused(ErrorCode.INVALID_ORDER, message, {"field": field})


def parse_order(request: OrderRequest) -> ParsedOrder | Refused:
    """Read the decimals and times of a request, and refuse combinations that no market accepts."""
    expires_at = timestamp_of(request.expires_at) if request.expires_at else None
    valid_until = timestamp_of(request.valid_until) if request.valid_until else None
    if refused := _contradiction(request) or _no_slippage(request) or _too_far(expires_at, valid_until):
        return refused
    amounts = _amounts(request)
    if isinstance(amounts, Refused):
        return amounts
    condition, legs = _condition(request), _legs(request)
    if isinstance(condition, Refused):
        return condition
    if isinstance(legs, Refused):
        return legs
    slippage = _slippage(request.max_slippage)
    return ParsedOrder(request, *amounts, expires_at, valid_until, slippage, condition, legs)


def _amounts(request: OrderRequest) -> tuple[int, int | None] | Refused:
    """Quantity and price."""
    quantity = 0 if request.quantity is None else amount(request.quantity, "quantity")
    if isinstance(quantity, Refused):
        return quantity
    price = amount_or_none(request.price, "price")
    return price if isinstance(price, Refused) else (quantity, price)


def _too_far(expires_at: Timestamp | None, valid_until: Timestamp | None) -> Refused | None:
    for field, at in (("expiresAt", expires_at), ("validUntil", valid_until)):
        if (at or 0) >= TIMESTAMP_MAX:
            return invalid(f"{field} is too far away", field)
    return None


def _condition(request: OrderRequest) -> ParsedCondition | Refused | None:
    """The condition of an order whose fields do not contradict each other; None where it has none."""
    if not request.type.is_conditional:
        return None
    trigger = amount_or_none(request.trigger_price, "triggerPrice")
    if isinstance(trigger, Refused):
        return trigger
    activation = amount_or_none(request.activation_price, "activationPrice")
    if isinstance(activation, Refused):
        return activation
    rate = 0 if request.callback_rate is None else parse_whole_units(request.callback_rate, _PPM_E18)
    if request.callback_rate is not None and not CALLBACK_MIN <= (rate or 0) <= CALLBACK_MAX:
        return invalid('callbackRate must be from "0.001" to "0.1", with at most 6 decimals', "callbackRate")
    working_type = request.working_type or WorkingType.MARK
    return ParsedCondition(working_type, trigger, Ppm(rate or 0), activation, request.close_position)


def _legs(request: OrderRequest) -> tuple[ParsedLeg, ...] | Refused:
    """The take-profit, then the stop-loss, as far as the order has them."""
    named = (
        ("takeProfit", OrderType.TAKE_PROFIT_MARKET, request.take_profit),
        ("stopLoss", OrderType.STOP_MARKET, request.stop_loss),
    )
    legs: list[ParsedLeg] = []
    for field, order_type, leg in named:
        if leg is not None:
            trigger = amount(leg.trigger_price, f"{field}.triggerPrice")
            if isinstance(trigger, Refused):
                return trigger
            legs.append(ParsedLeg(field, order_type, trigger, leg.working_type))
    return tuple(legs)


def request_hash(draft: ParsedOrder) -> bytes:
    """The hash that a repeated clientOrderId must match: every field, defaults filled in, decimals canonical.

    A field that came later counts only where it is given: without it the hash is the one that earlier releases stored.
    """
    request = draft.request
    fields = (
        request.market_id,
        request.side,
        request.type,
        format_e18(draft.quantity_e18),
        draft.price_e18,
        request.time_in_force,
        request.reduce_only,
        request.post_only,
        request.leverage,
        request.self_trade_prevention_mode,
        draft.expires_at,
        draft.valid_until,
        *(() if draft.max_slippage is None else ("maxSlippage", draft.max_slippage)),
        *(() if draft.condition is None else ("condition", *draft.condition)),
        *(() if request.oco_group is None else ("ocoGroup", request.oco_group)),
        *(part for leg in draft.legs for part in leg),
    )
    return blake2b("\0".join(map(str, fields)).encode(), digest_size=_REQUEST_HASH_BYTES).digest()


def amount(text: str, field: str) -> int | Refused:
    """A price or a quantity of a request in 10^-18, above zero."""
    value = parse_decimal_e18(text)
    if value is None:
        return invalid(f'{field} must be a decimal string like "0.001"', field)
    if value == 0:
        return invalid(f"{field} must be above zero", field)
    if value > AMOUNT_MAX_E18:
        return invalid(f"{field} must not be above 1000000000000", field)
    return value


def _slippage(text: str | None) -> Ppm | None:
    """A rate in parts per million; None where there is none, or no whole number above zero."""
    rate = None if text is None else parse_whole_units(text, _PPM_E18)
    return Ppm(rate) if rate else None


def _no_slippage(request: OrderRequest) -> Refused | None:
    if request.max_slippage is None:
        return None
    if request.type is not OrderType.MARKET:
        return invalid("maxSlippage is for MARKET orders; the price of a LIMIT order bounds it", "maxSlippage")
    if _slippage(request.max_slippage) is None:
        return invalid("maxSlippage must be a decimal string above 0, with at most 6 decimals", "maxSlippage")
    return None


def amount_or_none(text: str | None, field: str) -> int | Refused | None:
    """As `amount`; None where the field is left out."""
    return None if text is None else amount(text, field)


def _contradiction(request: OrderRequest) -> Refused | None:
    order_type, is_gtd = request.type, request.time_in_force is TimeInForce.GTD
    if order_type.is_limit == (request.price is None):
        return invalid(f"{order_type} {'needs a' if order_type.is_limit else 'has no'} price", "price")
    if request.post_only and (not order_type.is_limit or request.time_in_force in _NEVER_RESTS):
        return invalid("postOnly needs an order that can rest", "postOnly")
    if order_type is OrderType.MARKET and is_gtd:
        return invalid("MARKET cannot be GTD", "timeInForce")
    if order_type.is_conditional and not order_type.is_limit and request.time_in_force in _NEVER_RESTS:
        return invalid(f"{order_type} is GTC, or GTD until expiresAt: it waits for its condition", "timeInForce")
    if is_gtd != (request.expires_at is not None):
        return invalid("GTD needs expiresAt, any other timeInForce has none", "expiresAt")
    return _contradicting_size(request) or _contradicting_condition(request)


def _contradicting_size(request: OrderRequest) -> Refused | None:
    if request.close_position and (request.type.is_limit or not request.type.is_conditional):
        return invalid("closePosition is for STOP_MARKET, TAKE_PROFIT_MARKET and TRAILING_STOP_MARKET", "closePosition")
    if request.close_position and request.quantity is not None:
        return invalid("closePosition closes the whole position: give no quantity with it", "quantity")
    if not request.close_position and request.quantity is None:
        return invalid("quantity is missing", "quantity")
    is_reducing = request.reduce_only or request.close_position
    if is_reducing and (request.take_profit is not None or request.stop_loss is not None):
        field = "stopLoss" if request.take_profit is None else "takeProfit"
        return invalid(f"{field} is for an order that opens a position, not for a reduce-only one", field)
    return None


def _contradicting_condition(request: OrderRequest) -> Refused | None:
    order_type, is_trailing = request.type, request.type is OrderType.TRAILING_STOP_MARKET
    has_trigger = order_type.is_conditional and not is_trailing
    if has_trigger == (request.trigger_price is None):
        return invalid(f"{order_type} {'needs a' if has_trigger else 'has no'} triggerPrice", "triggerPrice")
    if is_trailing == (request.callback_rate is None):
        return invalid(f"{order_type} {'needs a' if is_trailing else 'has no'} callbackRate", "callbackRate")
    if request.activation_price is not None and not is_trailing:
        return invalid(f"{order_type} has no activationPrice", "activationPrice")
    if request.working_type is not None and not order_type.is_conditional:
        return invalid(f"{order_type} has no workingType: it waits for no price", "workingType")
    return None


_NEVER_RESTS = frozenset({TimeInForce.IOC, TimeInForce.FOK})
