"""The syntax of an order request: the checks, and the hash, that need no market and no clock."""

from hashlib import blake2b
from typing import NamedTuple

from schemas.orders import OrderType, TimeInForce
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


class ParsedOrder(NamedTuple):
    """A well-formed order, its decimals read as integers of 10^-18, not yet fitted to a market's grid."""

    request: OrderRequest
    quantity_e18: int
    price_e18: int | None
    expires_at: Timestamp | None
    valid_until: Timestamp | None
    max_slippage: Ppm | None = None


def invalid(message: str, field: str) -> Refused:
    """The INVALID_ORDER of a malformed field."""
    return Refused(ErrorCode.INVALID_ORDER, message, {"field": field})


def parse_order(request: OrderRequest) -> ParsedOrder | Refused:
    """Read the decimals and times of a request, and refuse combinations that no market accepts."""
    if refused := _contradiction(request) or _no_slippage(request):
        return refused
    quantity = _amount(request.quantity, "quantity")
    if isinstance(quantity, Refused):
        return quantity
    price = None if request.price is None else _amount(request.price, "price")
    if isinstance(price, Refused):
        return price
    expires_at = timestamp_of(request.expires_at) if request.expires_at else None
    valid_until = timestamp_of(request.valid_until) if request.valid_until else None
    if (expires_at or 0) >= TIMESTAMP_MAX:
        return invalid("expiresAt is too far away", "expiresAt")
    if (valid_until or 0) >= TIMESTAMP_MAX:
        return invalid("validUntil is too far away", "validUntil")
    return ParsedOrder(request, quantity, price, expires_at, valid_until, _slippage(request.max_slippage))


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
    )
    return blake2b("\0".join(map(str, fields)).encode(), digest_size=_REQUEST_HASH_BYTES).digest()


def _amount(text: str, field: str) -> int | Refused:
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


def _contradiction(request: OrderRequest) -> Refused | None:
    is_market = request.type is OrderType.MARKET
    is_gtd = request.time_in_force is TimeInForce.GTD
    if is_market != (request.price is None):
        return invalid("LIMIT needs a price, MARKET has none", "price")
    if request.post_only and (is_market or request.time_in_force in _NEVER_RESTS):
        return invalid("postOnly needs an order that can rest", "postOnly")
    if is_market and is_gtd:
        return invalid("MARKET cannot be GTD", "timeInForce")
    if is_gtd != (request.expires_at is not None):
        return invalid("GTD needs expiresAt, any other timeInForce has none", "expiresAt")
    return None


_NEVER_RESTS = frozenset({TimeInForce.IOC, TimeInForce.FOK})
