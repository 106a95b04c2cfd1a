"""Placing, amending, cancelling and reading orders. Plain orders and cancels take the fast path instead: api.fast_path.fast_request."""

from aiohttp import web

from api.paging import ORDERED, STATUS, TIMED, UPDATED_FROM, list_answer, list_request
from api.paths import client_order_id_of, no_such_client_order, no_such_order, order_id_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from api.submission.submitting import AMEND_BODY, AMEND_REFUSALS, ORDER_BODY, ORDER_REFUSALS, PLACED, submitted
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope
from schemas.rest.bodies import Page
from schemas.rest.orders import AmendRequest, AmendTaken, CancelTaken, OrderRequest, OrderTaken, OrderView
from store.queries.accounts.orders import (
    list_orders,
    read_order,
    read_order_by_client_id,
    read_order_id_by_client_id,
)
from store.submission import SubmitAmend, SubmitCancel, SubmitOrder

_LISTED = (*ORDERED, *TIMED, STATUS, UPDATED_FROM)


async def place(request: web.Request, user: int) -> web.Response:
    """Submit an order; 202 once it is stored, 200 when it had been stored before."""
    return await submitted(request, SubmitOrder(user, await ORDER_BODY.read(request)))


async def amend(request: web.Request, user: int) -> web.Response:
    """Request other terms for an order; an event gives them to it, or refuses them."""
    order_id = order_id_of(request)
    return await submitted(request, SubmitAmend(user, order_id, await AMEND_BODY.read(request)))


async def cancel(request: web.Request, user: int) -> web.Response:
    """Request the cancellation of an order; an event ends it later."""
    return await submitted(request, SubmitCancel(user, order_id_of(request)))


async def cancel_by_client_id(request: web.Request, user: int) -> web.Response:
    """Request the cancellation of the order with this client order id; an order keeps its id forever, so nothing can come between."""
    client_id = client_order_id_of(request)
    order_id = await services_of(request).database.run(
        lambda session: read_order_id_by_client_id(session, user, client_id)
    )
    if order_id is None:
        raise no_such_client_order(client_id)
    return await submitted(request, SubmitCancel(user, order_id))


async def list_own(request: web.Request, user: int) -> web.Response:
    """The caller's orders, newest first."""
    asked = list_request(request, _LISTED)
    page = await services_of(request).database.run(lambda session: list_orders(session, user, asked))
    return list_answer(request, page)


async def show_by_client_id(request: web.Request, user: int) -> web.Response:
    """The order with this client order id."""
    client_id = client_order_id_of(request)
    order = await services_of(request).database.run(lambda session: read_order_by_client_id(session, user, client_id))
    if order is None:
        raise no_such_client_order(client_id)
    return json_answer(order)


async def show(request: web.Request, user: int) -> web.Response:
    """One order of the caller; another user's order is answered like an unknown one."""
    order_id = order_id_of(request)
    order = await services_of(request).database.run(lambda session: read_order(session, user, order_id))
    if order is None:
        raise no_such_order(order_id)
    return json_answer(order)


ROUTES = (
    Route(
        "POST",
        "/orders",
        place,
        "placeOrder",
        "Place an order",
        {
            202: PLACED,
            200: Answer(
                OrderTaken,
                "The `clientOrderId` was already used with the same body: the first order.",
                ("Location", "X-Command-Id", "Idempotent-Replayed"),
            ),
        },
        access=Access.USER,
        scope=Scope.TRADE,
        body=OrderRequest,
        errors=(*ORDER_REFUSALS, ErrorCode.DUPLICATE_CLIENT_ORDER_ID),
        tag="orders",
    ),
    Route(
        "PUT",
        "/orders/{orderId}",
        amend,
        "amendOrder",
        "Amend an order",
        {202: Answer(AmendTaken, "The amend is stored; an event says later what became of it.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        body=AmendRequest,
        errors=(*AMEND_REFUSALS, ErrorCode.ORDER_NOT_FOUND, ErrorCode.ORDER_NOT_OPEN),
        tag="orders",
    ),
    Route(
        "DELETE",
        "/orders/{orderId}",
        cancel,
        "cancelOrder",
        "Cancel an order",
        {202: Answer(CancelTaken, "The cancel is stored; an event ends the order later.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        errors=(ErrorCode.ORDER_NOT_FOUND, ErrorCode.ORDER_NOT_OPEN, ErrorCode.OVERLOADED),
        tag="orders",
    ),
    Route(
        "DELETE",
        "/orders/by-client-id/{clientOrderId}",
        cancel_by_client_id,
        "cancelOrderByClientId",
        "Cancel an order by its client order id",
        {202: Answer(CancelTaken, "The cancel is stored; an event ends the order later.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        errors=(ErrorCode.ORDER_NOT_FOUND, ErrorCode.ORDER_NOT_OPEN, ErrorCode.OVERLOADED),
        tag="orders",
    ),
    Route(
        "GET",
        "/orders",
        list_own,
        "listOrders",
        "List orders, newest or oldest first",
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
        "getOrder",
        "Show an order",
        {200: Answer(OrderView, "The order.")},
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.ORDER_NOT_FOUND,),
        tag="orders",
    ),
    Route(
        "GET",
        "/orders/by-client-id/{clientOrderId}",
        show_by_client_id,
        "getOrderByClientId",
        "Show an order by its client order id",
        {200: Answer(OrderView, "The order.")},
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.ORDER_NOT_FOUND,),
        tag="orders",
    ),
)
