"""From a route to the submission queue and back: the outcome of one request, and how an order that was placed is answered."""

from aiohttp import web

from api.answers import json_answer
from api.errors import refusal_of
from api.route import Answer
from api.services import services_of
from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest import OrderTaken
from store.submission import Answer as Outcome
from store.submission import Placed, SubmissionRequest

PLACED = Answer(OrderTaken, "The order is stored; the engine sees it next.", ("Location", "X-Command-Id"))
ORDER_REFUSALS = (
    ErrorCode.INVALID_ORDER,
    ErrorCode.MARKET_NOT_FOUND,
    ErrorCode.MARKET_NOT_ACTIVE,
    ErrorCode.INSUFFICIENT_MARGIN,
    ErrorCode.OVERLOADED,
)
"""Why an order without a client id can be refused."""


async def outcome_of(request: web.Request, asked: SubmissionRequest) -> Outcome:
    """What the submission has made of a request; raises its refusal."""
    outcome = await services_of(request).submissions.submit(asked)
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return outcome


def placed_answer(outcome: Outcome) -> web.StreamResponse:
    """202 for an order that is stored now, 200 for one that had been."""
    if not isinstance(outcome, Placed):
        raise TypeError(outcome)
    headers = {"Location": f"/orders/{outcome.order_id}", "X-Command-Id": outcome.command_id}
    if outcome.is_replay:
        replayed = headers | {"Idempotent-Replayed": "true"}
        return json_answer(OrderTaken(outcome.order_id, outcome.status), headers=replayed)
    return json_answer(OrderTaken(outcome.order_id, OrderStatus.PENDING), status=202, headers=headers)
