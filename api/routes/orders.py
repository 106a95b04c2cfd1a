"""Placing, cancelling and reading orders."""

import msgspec
from aiohttp import web

from api.answers import accepted, json_answer
from api.bodies import BodyReader
from api.errors import refusal_of
from api.paging import PAGING, STATUS, TIMED, list_answer, list_request
from api.paths import no_such_order, order_id_of
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.api_keys import Scope
from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest import CancelTaken, OrderRequest, OrderTaken, OrderView, Page
from store.queries.orders import list_orders, read_order
from store.submission import Answer as SubmissionAnswer
from store.submission import CancelOrder, CancelPlaced, Placed, PlaceOrder, SubmissionRequest

_order = BodyReader(OrderRequest, misfit=ErrorCode.INVALID_ORDER)
_encode = msgspec.json.Encoder().encode
_LISTED = (*PAGING, *TIMED, STATUS)


async def place(request: web.Request, user: int) -> web.StreamResponse:
    """Hand an order to the submission; 202 once it is stored, 200 when it had been stored before."""
    order = await _order.read(request)
    outcome = await _outcome_of(request, PlaceOrder(user, order))
    if not isinstance(outcome, Placed):
        raise TypeError(outcome)
    named = (("Location", f"/orders/{outcome.order_id}"), ("X-Command-Id", outcome.command_id))
    if outcome.is_replay:
        headers = dict([*named, ("Idempotent-Replayed", "true")])
        return json_answer(OrderTaken(outcome.order_id, outcome.status), headers=headers)
    body = _encode(OrderTaken(outcome.order_id, OrderStatus.PENDING))
    return accepted(request, body, named)


async def cancel(request: web.Request, user: int) -> web.StreamResponse:
    """Ask that an order be taken out of the book; it ends by an event."""
    outcome = await _outcome_of(request, CancelOrder(user, order_id_of(request)))
    if not isinstance(outcome, CancelPlaced):
        raise TypeError(outcome)
    return accepted(request, _encode(CancelTaken(outcome.order_id)), (("X-Command-Id", outcome.command_id),))


async def list_own(request: web.Request, user: int) -> web.Response:
    """The caller's orders, newest first."""
    asked = list_request(request, _LISTED)
    page = await services_of(request).database.run(lambda session: list_orders(session, user, asked))
    return list_answer(request, page)


async def show(request: web.Request, user: int) -> web.Response:
    """One order of the caller; another user's is as unknown as one that never was."""
    order_id = order_id_of(request)
    order = await services_of(request).database.run(lambda session: read_order(session, user, order_id))
    if order is None:
        raise no_such_order(order_id)
    return json_answer(order)


async def _outcome_of(request: web.Request, asked: SubmissionRequest) -> SubmissionAnswer:
    outcome = await services_of(request).submissions.submit(asked)
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return outcome


ROUTES = (
    Route(
        "POST",
        "/orders",
        place,
        "Place an order",
        {
            202: Answer(OrderTaken, "The order is stored; the engine sees it next.", ("Location", "X-Command-Id")),
            200: Answer(
                OrderTaken,
                "A repeated clientOrderId: the first order.",
                ("Location", "X-Command-Id", "Idempotent-Replayed"),
            ),
        },
        access=Access.USER,
        scope=Scope.TRADE,
        body=OrderRequest,
        errors=(
            ErrorCode.INVALID_ORDER,
            ErrorCode.MARKET_NOT_FOUND,
            ErrorCode.MARKET_NOT_ACTIVE,
            ErrorCode.DUPLICATE_CLIENT_ORDER_ID,
            ErrorCode.INSUFFICIENT_MARGIN,
            ErrorCode.OVERLOADED,
        ),
        tag="orders",
    ),
    Route(
        "DELETE",
        "/orders/{orderId}",
        cancel,
        "Cancel an order",
        {202: Answer(CancelTaken, "The cancel is stored; the order ends by an event.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        errors=(ErrorCode.ORDER_NOT_FOUND, ErrorCode.ORDER_NOT_OPEN, ErrorCode.OVERLOADED),
        tag="orders",
    ),
    Route(
        "GET",
        "/orders",
        list_own,
        "List orders, newest first",
        {200: Answer(list[OrderView] | Page[OrderView], "Orders.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_LISTED,
        tag="orders",
    ),
    Route(
        "GET",
        "/orders/{orderId}",
        show,
        "Show an order",
        {200: Answer(OrderView, "The order.")},
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.ORDER_NOT_FOUND,),
        tag="orders",
    ),
)
