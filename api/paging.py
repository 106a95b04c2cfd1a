"""Lists over HTTP: strict query parameters in, a bare array or a page out.

A list answers `{"data": [...], "nextCursor": ...}`. The five oldest lists answer with a bare array of the 500 newest items
when no query parameter is given, and with `Link: rel="next"` when there are more.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from api.errors import Refusal, refusal_of
from api.paths import no_such_market, shown_text
from api.responses import json_answer
from api.route import Parameter
from schemas.orders import OrderStatus, Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.bodies import Page, View
from schemas.units import Timestamp, timestamp_of
from store.queries.paging import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, ListRequest

_TEXT_MAX = 256
_ANY_LIVE = "LIVE"
_SEQUENCE_DIGITS_MAX = 18

_TIME = {"type": "string", "format": "date-time"}
_NAME = {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{1,{_TEXT_MAX}}}$"}
LIMIT = Parameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}, "Page size"
)
CURSOR = Parameter(
    "cursor",
    {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{1,{CURSOR_LENGTH_MAX}}}$"},
    "The `nextCursor` of the previous page",
)
MARKET = Parameter("marketId", _NAME, "Only this market")
SIDE = Parameter("side", {"type": "string", "enum": [side.value for side in Side]}, "Only this side")
FROM = Parameter("from", _TIME, "Only at or after this time")
TO = Parameter("to", _TIME, "Only before this time")
STATUS = Parameter(
    "status",
    {
        "type": "array",
        "items": {"type": "string", "enum": [*(status.value for status in OrderStatus), _ANY_LIVE]},
        "minItems": 1,
        "uniqueItems": True,
    },
    "Only these statuses, separated by commas; `LIVE` means PENDING, OPEN and PARTIALLY_FILLED",
)
UPDATED_FROM = Parameter(
    "updatedFrom", _TIME, "Only what changed at or after this time; the list is then in the order of the last change"
)
OLDEST_FIRST = Parameter(
    "order", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}, "Oldest first (`asc`) or newest first"
)
ORDER = Parameter("orderId", _NAME, "Only fills of this order")
FROM_SEQUENCE = Parameter(
    "fromSequence", {"type": "integer", "minimum": 1, "default": 1}, "The first fill; ignored with a `cursor`"
)
PAGING = (LIMIT, CURSOR)
ORDERED = (*PAGING, OLDEST_FIRST)
"""Of lists by time; the others are in the order of their names."""
TIMED = (MARKET, FROM, TO)


def list_request(request: web.Request, known: tuple[Parameter, ...]) -> ListRequest:
    """The query of a list that answers as a bare array without one; refuses like `page_request`."""
    return page_request(request, known) if request.query_string else ListRequest(limit=LIMIT_MAX)


def page_request(request: web.Request, known: tuple[Parameter, ...]) -> ListRequest:
    """The query of a list; refuses unknown, repeated, empty and malformed parameters with INVALID_REQUEST."""
    given = _query_of(request, known)
    return ListRequest(
        limit=_whole_number(given.get("limit"), LIMIT),
        cursor=given.get("cursor"),
        market_id=given.get("marketId"),
        from_=_moment("from", given.get("from")),
        to=_moment("to", given.get("to")),
        statuses=_statuses(given.get("status")),
        order_id=given.get("orderId"),
        from_sequence=_sequence(given.get("fromSequence")),
        is_oldest_first=_is_oldest_first(given.get("order")),
        updated_from=_moment("updatedFrom", given.get("updatedFrom")),
    )


def list_answer(request: web.Request, page: Page[Any] | Refused) -> web.Response:
    """The page in the shape that the request asked for; a refused page (a foreign cursor) is raised."""
    if isinstance(page, Refused):
        raise refusal_of(page)
    if request.query_string:
        return json_answer(page)
    if page.next_cursor is None:
        return json_answer(page.data)
    onward = urlencode({"limit": LIMIT_MAX, "cursor": page.next_cursor})
    return json_answer(page.data, headers={"Link": f'<{request.path}?{onward}>; rel="next"'})


def page_answer(page: View | Refused) -> web.Response:
    """The page, or a view that contains one; a refused page (a foreign cursor) is raised."""
    if isinstance(page, Refused):
        raise refusal_of(page)
    return json_answer(page)


def market_page_answer(name: str, page: View | Refused | None) -> web.Response:
    """As `page_answer`, for a page of one market; refuses with MARKET_NOT_FOUND when there is no such market."""
    if page is None:
        raise no_such_market(name)
    return page_answer(page)


def whole_number(request: web.Request, parameter: Parameter) -> int:
    """The value of a bounded whole number, or its default; the only parameter of its route."""
    return _whole_number(_query_of(request, (parameter,)).get(parameter.name), parameter)


def market_and_side(request: web.Request) -> tuple[str | None, Side | None]:
    """The market and the side that the query names, each None if it does not; the only parameters of its route."""
    given = _query_of(request, (MARKET, SIDE))
    side = given.get(SIDE.name)
    if side is not None and side not in SIDE.schema["enum"]:
        raise _malformed(SIDE.name, f"must be one of {', '.join(SIDE.schema['enum'])}")
    return given.get(MARKET.name), None if side is None else Side(side)


def flag(request: web.Request, parameter: Parameter) -> bool:
    """Whether an optional yes-or-no parameter is `true`; `page_request` checks the other parameters."""
    word = request.query.get(parameter.name, "false")
    if word not in ("true", "false"):
        raise _malformed(parameter.name, "must be true or false")
    return word == "true"


def one_of(request: web.Request, parameter: Parameter) -> str:
    """The value of an enumerated parameter, or its default; `page_request` checks the other parameters."""
    word: str = request.query.get(parameter.name, parameter.schema["default"])
    if word not in parameter.schema["enum"]:
        raise _malformed(parameter.name, f"must be one of {', '.join(parameter.schema['enum'])}")
    return word


def _query_of(request: web.Request, known: tuple[Parameter, ...]) -> dict[str, str]:
    if not request.query_string:
        return {}
    names = {parameter.name for parameter in known}
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in names:
            raise _malformed(name, "is unknown")
        length_max = CURSOR_LENGTH_MAX if name == CURSOR.name else _TEXT_MAX
        if name in given or not value or len(value) > length_max or not value.isprintable():
            raise _malformed(name, "is repeated, empty, too long or has characters that cannot be printed")
        given[name] = value
    return given


def _whole_number(text: str | None, parameter: Parameter) -> int:
    bounds = parameter.schema
    if text is None:
        return int(bounds["default"])
    is_number = text.isascii() and text.isdigit() and len(text) <= 3
    if not is_number or not bounds["minimum"] <= int(text) <= bounds["maximum"]:
        raise _malformed(parameter.name, f"must be a whole number from {bounds['minimum']} to {bounds['maximum']}")
    return int(text)


def _sequence(text: str | None) -> int:
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit()) or len(text) > _SEQUENCE_DIGITS_MAX or int(text) < 1:
        raise _malformed("fromSequence", "must be a whole number of at least 1")
    return int(text)


def _moment(name: str, text: str | None) -> Timestamp | None:
    if text is None:
        return None
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise _malformed(name, "must be a time with its zone, like 2030-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise _malformed(name, "must be a time with its zone, like 2030-01-31T12:00:00Z")
    return timestamp_of(moment)


def _statuses(text: str | None) -> frozenset[OrderStatus] | None:
    if text is None:
        return None
    words = text.split(",")
    if len(set(words)) < len(words) or not set(words) <= {*OrderStatus.__members__, _ANY_LIVE}:
        raise _malformed("status", "must be one or several order statuses or LIVE, separated by commas, each once")
    live = {status for status in OrderStatus if status.is_live} if _ANY_LIVE in words else set()
    return frozenset(live | {OrderStatus(word) for word in words if word != _ANY_LIVE})


def _is_oldest_first(text: str | None) -> bool:
    if text not in (None, *OLDEST_FIRST.schema["enum"]):
        raise _malformed("order", "must be asc or desc")
    return text == "asc"


def _malformed(name: str, why: str) -> Refusal:
    shown = shown_text(name)
    return Refusal(ErrorCode.INVALID_REQUEST, f"query parameter {shown} {why}", {"field": shown, "parameter": shown})
