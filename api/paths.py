"""Ids inside a path: what cannot be an id of ours is refused like one that never was."""

from aiohttp import web

from api.errors import Refusal
from schemas.refusals import ErrorCode

_LENGTH_MAX = 64
_MISSING = {
    ErrorCode.ORDER_NOT_FOUND: "There is no such order.",
    ErrorCode.MARKET_NOT_FOUND: "There is no such market.",
}


def not_found(code: ErrorCode) -> Refusal:
    """404 for an id, the same whether it never was or belongs to another."""
    return Refusal(code, _MISSING[code])


def order_id_of(request: web.Request) -> str:
    """The order named by the path."""
    return _named(request, "orderId", ErrorCode.ORDER_NOT_FOUND)


def market_id_of(request: web.Request) -> str:
    """The market named by the path."""
    return _named(request, "marketId", ErrorCode.MARKET_NOT_FOUND)


def _named(request: web.Request, name: str, missing: ErrorCode) -> str:
    text = request.match_info[name]
    if len(text) > _LENGTH_MAX or not (text.isascii() and text.isprintable()):
        raise not_found(missing)
    return text
