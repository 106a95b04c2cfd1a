"""The quick way through the server for orders and cancels: from the bytes of a request to the submission, and its answer back.

aiohttp's own way (a task, a request, a route, middlewares, a response) costs twice what everything else about an order
does. It stays the only way for whatever is not plain: here a request is either taken as a whole, or left as it came.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

from api.answers import FIXED_HEADERS
from api.auth import bearer_of
from api.bodies import BodyReader
from api.errors import Refusal, new_request_id, refused_answer
from api.paths import is_plain_id
from api.services import Services
from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest import CancelTaken, OrderRequest, OrderTaken
from store.submission import Answer, CancelOrder, CancelPlaced, Placed, PlaceOrder, SubmissionRequest

_ORDERS = "/orders"
_AN_ORDER = "/orders/"
_order = BodyReader(OrderRequest, misfit=ErrorCode.INVALID_ORDER)
_encode = msgspec.json.Encoder().encode


def submission_of(services: Services, message: Any, body: bytes) -> SubmissionRequest | None:
    """What a plain request asks of the submission; None for every other, and for one that must be refused.

    `message` is aiohttp's RawRequestMessage. Plain is an order or a cancel over HTTP/1.1 on a connection that stays
    open, with one valid bearer token and a JSON body (a cancel: none) that needs no decoding and fits.
    """
    headers = message.headers
    if message.version != HttpVersion11 or message.should_close or message.chunked or message.upgrade:
        return None
    if "Expect" in headers or "Content-Encoding" in headers or services.lifecycle.is_stopping:
        return None
    user = bearer_of(headers, services.tokens)
    if user is None:
        return None
    if message.method == "POST" and message.path == _ORDERS:
        return _placing(user, headers, body, services.settings.body_bytes_max)
    if message.method == "DELETE" and message.path.startswith(_AN_ORDER) and not body:
        order_id = message.path[len(_AN_ORDER) :]
        return CancelOrder(user, order_id) if is_plain_id(order_id) else None
    return None


def answer_to(outcome: Answer) -> bytes:
    """The whole answer, head included, to what the submission made of a plain request."""
    request_id = new_request_id()
    match outcome:
        case Placed(order_id, command_id, status, is_replay):
            named = f"Location: /orders/{order_id}\r\nX-Command-Id: {command_id}\r\n"
            if is_replay:
                body = _encode(OrderTaken(order_id, status))
                return _message(HTTPStatus.OK, request_id, body, f"{named}Idempotent-Replayed: true\r\n")
            return _message(HTTPStatus.ACCEPTED, request_id, _encode(OrderTaken(order_id, OrderStatus.PENDING)), named)
        case CancelPlaced(order_id, command_id):
            body = _encode(CancelTaken(order_id))
            return _message(HTTPStatus.ACCEPTED, request_id, body, f"X-Command-Id: {command_id}\r\n")
        case Refused():
            return bytes_of(refused_answer(request_id, outcome), request_id)


def bytes_of(answer: web.Response, request_id: str) -> bytes:
    """An answer of aiohttp's, with what every answer carries, as bytes."""
    own = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items() if name != "Content-Type")
    assert isinstance(answer.body, bytes)  # noqa: S101 - ours always are
    return _message(HTTPStatus(answer.status), request_id, answer.body, own)


def _placing(user: int, headers: Any, body: bytes, bytes_max: int) -> PlaceOrder | None:
    if headers.get("Content-Type") != "application/json" or len(body) > bytes_max:
        return None
    try:
        return PlaceOrder(user, _order.decode(body))
    except Refusal:
        return None  # aiohttp's way says what is wrong with it


def _message(status: HTTPStatus, request_id: str, body: bytes, own: str) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Date: {rfc822_formatted_time()}\r\nX-Request-Id: {request_id}\r\n{FIXED_HEADERS}{own}\r\n"
    )
    return head.encode() + body
