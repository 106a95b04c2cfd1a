"""Several orders at once: place a batch, and cancel all live orders."""

from http import HTTPStatus

from aiohttp import web

from api.access.budgets import Budget
from api.bodies import BodyReader
from api.errors import refusal_of
from api.paging import MARKET, SIDE, market_and_side
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from api.submission.submitting import Ack, cancel_all_ack, group_ack
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import Scope
from schemas.rest.order_groups import BatchRequest, OrderAnswersView
from store.submission import SubmitCancelAll, SubmitGroup

_batch = BodyReader(BatchRequest, misfit=ErrorCode.INVALID_ORDER)


async def place_batch(request: web.Request, user: int) -> web.Response:
    """Place up to 20 orders, one after the other; each is accepted or refused on its own. The rate limit accepts all of them or none."""
    services, orders = services_of(request), (await _batch.read(request)).orders
    services.limits.take_of_batch(request, Budget.ORDERS, user, len(orders))
    outcome = await services.submissions.submit(SubmitGroup(user, tuple(orders)))
    outcomes = [outcome] * len(orders) if isinstance(outcome, Refused) else outcome.outcomes
    return _answer(group_ack(outcomes, HTTPStatus.OK))


async def cancel_all(request: web.Request, user: int) -> web.Response:
    """Request the cancellation of the caller's live and waiting orders, of one market or all, of one side or both: one command for
    each market."""
    market, side = market_and_side(request)
    outcome = await services_of(request).submissions.submit(SubmitCancelAll(user, market, side))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return _answer(cancel_all_ack(outcome))


def _answer(ack: Ack) -> web.Response:
    return json_answer(ack.body, ack.status, ack.headers)


ROUTES = (
    Route(
        "POST",
        "/orders/batch",
        place_batch,
        "placeOrders",
        "Place up to 20 orders",
        {
            200: Answer(
                OrderAnswersView, "A result for every order; those without `error` are stored.", ("X-Command-Id",)
            )
        },
        access=Access.USER,
        scope=Scope.TRADE,
        body=BatchRequest,
        errors=(ErrorCode.INVALID_ORDER,),
        tag="orders",
    ),
    Route(
        "DELETE",
        "/orders",
        cancel_all,
        "cancelOrders",
        "Cancel all orders",
        {202: Answer(OrderAnswersView, "Every live order is being cancelled.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        errors=(ErrorCode.MARKET_NOT_FOUND, ErrorCode.OVERLOADED),
        parameters=(MARKET, SIDE),
        tag="orders",
    ),
)
