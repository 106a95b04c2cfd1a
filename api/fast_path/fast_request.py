"""The fast path through the server for orders, amends and cancels: from the bytes of a request to the submission, and its answer back.

aiohttp's own path (a task, a request, a route, middlewares, a response) costs twice as much as everything else about an
order. Every other request still takes it: the fast path either handles a request completely or leaves it untouched.
"""

from http import HTTPStatus
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from multidict import CIMultiDictProxy

from api.access.auth import plain_caller
from api.access.budgets import Budget
from api.access_log import AccessLog
from api.errors import Refusal, answer_of_bug, new_request_id, refused_answer
from api.metrics import RESPONSES
from api.paths import is_plain_id
from api.security_headers import of_every_answer
from api.services import Services
from api.submission.submitting import AMEND_BODY, ORDER_BODY, ack_of
from schemas.refusals import Refused
from schemas.rest.api_keys import Scope
from store.submission import OneOutcome, OneRequest, SubmitAmend, SubmitCancel, SubmitOrder

_ORDERS = "/orders"
_AN_ORDER = "/orders/"
_ROUTES = {
    SubmitOrder: ("POST", _ORDERS),
    SubmitAmend: ("PUT", "/orders/{orderId}"),
    SubmitCancel: ("DELETE", "/orders/{orderId}"),
}
_encode = msgspec.json.Encoder().encode
_STATUS_LINES = {
    status: (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: ",
        status.value,
    )
    for status in HTTPStatus
}
"""The start of an answer, and its status as a number: an enum's attributes are slow."""


class FastRequest(NamedTuple):
    """A request that can be submitted as it is, the fixed header lines of its answer, and when it was parsed."""

    request: OneRequest
    lines: str
    access: AccessLog
    began_s: float


def fast_request_of(services: Services, message: Any, body: bytes) -> FastRequest | None:
    """The submission request of a plain request; None for any other, and for one that must be refused.

    `message` is aiohttp's RawRequestMessage. Plain means: an order, an amend or a cancel over HTTP/1.1 on a connection that stays
    open, with one valid token or key, within the budget of its caller, and with a valid JSON body that is not encoded
    (a cancel has no body).
    """
    headers = message.headers
    if message.version != HttpVersion11 or message.should_close or message.chunked or message.upgrade:
        return None
    if (
        "Expect" in headers
        or "Content-Encoding" in headers
        or services.lifecycle.is_stopping
        or _is_cross_origin(services, headers)
    ):
        return None
    user = plain_caller(services, headers, Scope.TRADE)
    if user is None:
        return None
    request = _request_of(user, message, body, services.settings.body_bytes_max)
    if request is None:
        return None
    budget = Budget.CANCELS if isinstance(request, SubmitCancel) else Budget.ORDERS
    limit_lines = services.limits.take_plainly(budget, user)
    if limit_lines is None:
        return None
    return FastRequest(request, _FIXED[services.settings.is_behind_tls] + limit_lines, services.access, perf_counter())


def _is_cross_origin(services: Services, headers: CIMultiDictProxy[str]) -> bool:
    """Whether the answer needs the headers of api.access.cross_origin, which only aiohttp's path adds."""
    return bool(services.settings.cors_origins) and "Origin" in headers


def answer_to(fast: FastRequest, outcome: OneOutcome) -> bytes:
    """The whole answer, head included, to a plain request with this outcome."""
    request_id = new_request_id()
    if isinstance(outcome, Refused):
        return _bytes_of(fast, refused_answer(request_id, outcome), request_id)
    status, body, headers = ack_of(outcome)
    return _message(fast, status, request_id, _encode(body), _lines(headers))


def answer_to_a_bug(fast: FastRequest, bug: BaseException) -> bytes:
    """500 with the request id under which it is logged."""
    request_id = new_request_id()
    return _bytes_of(fast, answer_of_bug(request_id, type(fast.request).__name__, bug), request_id)


def _request_of(user: int, message: Any, body: bytes, bytes_max: int) -> OneRequest | None:
    order_id = message.path[len(_AN_ORDER) :] if message.path.startswith(_AN_ORDER) else ""
    if message.method == "DELETE":
        return SubmitCancel(user, order_id) if not body and is_plain_id(order_id) else None
    if message.headers.get("Content-Type") != "application/json" or len(body) > bytes_max:
        return None
    try:
        if message.method == "POST" and message.path == _ORDERS:
            return SubmitOrder(user, ORDER_BODY.decode(body))
        if message.method == "PUT" and is_plain_id(order_id):
            return SubmitAmend(user, order_id, AMEND_BODY.decode(body))
    except Refusal:
        return None  # aiohttp's path answers what is wrong with it
    return None


def _bytes_of(fast: FastRequest, answer: web.Response, request_id: str) -> bytes:
    own = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    assert isinstance(answer.body, bytes)  # noqa: S101 - ours always are
    return _message(fast, HTTPStatus(answer.status), request_id, answer.body, _lines(own))


def _message(fast: FastRequest, status: HTTPStatus, request_id: str, body: bytes, own: str) -> bytes:
    start, number = _STATUS_LINES[status]
    _note(fast, number, request_id)
    head = (
        f"{start}{len(body)}\r\nDate: {rfc822_formatted_time()}\r\nX-Request-Id: {request_id}\r\n{fast.lines}{own}\r\n"
    )
    return head.encode() + body


def _note(fast: FastRequest, status: int, request_id: str) -> None:
    """Count the answer and log it."""
    route, seconds = _ROUTES[type(fast.request)], perf_counter() - fast.began_s
    RESPONSES.count(route, status, seconds)
    fast.access.add(request_id, route, status, seconds * 1_000, fast.request.user)


def _lines(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


_FIXED = {is_tls: _lines(of_every_answer(is_behind_tls=is_tls)) for is_tls in (False, True)}
