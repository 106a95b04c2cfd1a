"""Previewing an order without placing it."""

from aiohttp import web

from api.errors import refusal_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from api.submission.submitting import ORDER_BODY
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import Scope
from schemas.rest.orders import OrderRequest
from schemas.rest.previews import PreviewView
from store.submission.preview import PreviewRun, PreviewWish, preview_order


async def preview(request: web.Request, user: int) -> web.Response:
    """The margin that an order would need and what would become of it, or why it would be refused; nothing is stored."""
    order, services = await ORDER_BODY.read(request), services_of(request)
    wish = PreviewWish(user, order, services.now(), services.load.current)
    read = await services.database.run(lambda session: preview_order(session, services.registry, wish))
    if isinstance(read, Refused):
        raise refusal_of(read)
    return json_answer(await services.previews.run(read.view) if isinstance(read, PreviewRun) else read)


ROUTES = (
    Route(
        "POST",
        "/orders/preview",
        preview,
        "previewOrder",
        "Preview an order",
        {200: Answer(PreviewView, "The margin it would need and its outcome, or its refusal.")},
        access=Access.USER,
        scope=Scope.READ,
        body=OrderRequest,
        errors=(ErrorCode.INVALID_ORDER, ErrorCode.OVERLOADED),
        tag="orders",
    ),
)
