"""The trace of an order through the exchange."""

from aiohttp import web

from api.paths import no_such_order, order_id_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope
from schemas.rest.order_trace import OrderTraceView
from store.queries.accounts.order_trace import read_order_trace


async def trace(request: web.Request, user: int) -> web.Response:
    """Every hop of one order of the caller."""
    return await answer_trace(request, user)


async def answer_trace(request: web.Request, user: int | None) -> web.Response:
    """Every hop of the order that the path names; of that user, or of anybody."""
    order_id = order_id_of(request)
    view = await services_of(request).database.run(lambda session: read_order_trace(session, user, order_id))
    if view is None:
        raise no_such_order(order_id)
    return json_answer(view)


ROUTES = (
    Route(
        "GET",
        "/orders/{orderId}/trace",
        trace,
        "getOrderTrace",
        "Trace an order through the exchange",
        {200: Answer(OrderTraceView, "Every hop, with its time and place where known.")},
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.ORDER_NOT_FOUND,),
        tag="orders",
    ),
)
