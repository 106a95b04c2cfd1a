"""Ids in a path: a malformed id is refused like an unknown one."""

import re
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from api.errors import Refusal
from schemas.ids import user_id_of
from schemas.refusals import ErrorCode

Found = TypeVar("Found")

_LENGTH_MAX = 64
_NUMBER = re.compile(r"[1-9][0-9]{0,17}").fullmatch
_PLAIN = re.compile(rf"[A-Z0-9-]{{1,{_LENGTH_MAX}}}").fullmatch
_MISSING = {
    ErrorCode.ORDER_NOT_FOUND: "no such order",
    ErrorCode.MARKET_NOT_FOUND: "no such market",
}


def not_found(code: ErrorCode) -> Refusal:
    """404 for an id, the same whether it is unknown or belongs to another user."""
    return Refusal(code, _MISSING[code])


def order_id_of(request: web.Request) -> str:
    """The order named by the path."""
    return _named(request, "orderId", no_such_order)


def market_id_of(request: web.Request) -> str:
    """The market named by the path."""
    return _named(request, "marketId", no_such_market)


def client_order_id_of(request: web.Request) -> str:
    """The client's own order id in the path."""
    return _named(request, "clientOrderId", no_such_client_order)


def no_such_client_order(client_order_id: str) -> Refusal:
    """404 for a client order id that the caller has not used."""
    return Refusal(ErrorCode.ORDER_NOT_FOUND, "no such order", {"clientOrderId": client_order_id})


def no_such_order(order_id: str) -> Refusal:
    """404 for an order, the same whether it is unknown or belongs to another user."""
    return Refusal(ErrorCode.ORDER_NOT_FOUND, "no such order", {"orderId": order_id})


def no_such_market(market_id: str) -> Refusal:
    """404 for a market."""
    return Refusal(ErrorCode.MARKET_NOT_FOUND, "no such market", {"marketId": market_id})


def no_such_user() -> Refusal:
    """404 for a user, to an administrator."""
    return Refusal(ErrorCode.NOT_FOUND, "no such user")


def user_id_in(request: web.Request) -> int:
    """The user named by the path of an administrator's route; refuses with NOT_FOUND what is no id."""
    user = user_id_of(request.match_info["userId"])
    if user is None:
        raise no_such_user()
    return user


def optional_user(request: web.Request) -> int | None:
    """The user named by the query parameter `userId`, None without it; refuses with INVALID_REQUEST what is no id."""
    text = request.query.get("userId")
    user = None if text is None else user_id_of(text)
    if text is not None and user is None:
        raise Refusal(ErrorCode.INVALID_REQUEST, "query parameter userId must be a user id", {"field": "userId"})
    return user


def shown_text(text: str) -> str:
    """What a client wrote, as an answer may repeat it: cut, and with a question mark for what is not plain ASCII."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text[:_LENGTH_MAX])


def is_plain_id(text: str) -> bool:
    """Whether it uses only the characters of ids, so that it needs no URL decoding."""
    return _PLAIN(text) is not None


def number_in(text: str) -> int:
    """The number of an id that is one; 0, which nothing has, for any other text."""
    return int(text) if _NUMBER(text) is not None else 0


def of_market(name: str, found: Found | None) -> Found:
    """What was read about a market; refuses with MARKET_NOT_FOUND when it was None."""
    if found is None:
        raise no_such_market(name)
    return found


def _named(request: web.Request, name: str, missing: Callable[[str], Refusal]) -> str:
    return checked_id(request.match_info[name], missing)


def checked_id(text: str, missing: Callable[[str], Refusal]) -> str:
    """An id that can be looked up; any other text is refused like an unknown id."""
    if len(text) > _LENGTH_MAX or not (text.isascii() and text.isprintable()):
        raise missing(shown_text(text))
    return text
