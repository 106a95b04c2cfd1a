"""From a route to the submission queue and back: submits a request and answers with its outcome."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

from api.bodies import BodyReader
from api.errors import refusal_of
from api.responses import json_answer
from api.route import Answer
from api.services import services_of
from schemas.ids import parse_public_command_id, public_command_id
from schemas.refusals import ErrorCode, Refused
from schemas.rest.order_groups import OrderAnswersView, OrderAnswerView, RefusalView
from schemas.rest.orders import AmendRequest, AmendTaken, CancelTaken, OrderRequest, OrderTaken
from store.submission import AmendPlaced, Answers, CancelPlaced, OneOutcome, OneRequest, Placed

ORDER_BODY = BodyReader(OrderRequest, misfit=ErrorCode.INVALID_ORDER)
AMEND_BODY = BodyReader(AmendRequest, misfit=ErrorCode.INVALID_ORDER)
PLACED = Answer(OrderTaken, "The order is stored; the engine processes it next.", ("Location", "X-Command-Id"))
ORDER_REFUSALS = (
    ErrorCode.INVALID_ORDER,
    ErrorCode.MARKET_NOT_FOUND,
    ErrorCode.MARKET_NOT_ACTIVE,
    ErrorCode.INSUFFICIENT_MARGIN,
    ErrorCode.OVERLOADED,
)
"""Why an order without a client id can be refused."""
AMEND_REFUSALS = tuple(code for code in ORDER_REFUSALS if code is not ErrorCode.MARKET_NOT_FOUND)
"""Why an amend can be refused like a new order: its order names the market."""


class Ack(NamedTuple):
    """The answer to an accepted request, on every path."""

    status: HTTPStatus
    body: OrderTaken | CancelTaken | AmendTaken | OrderAnswersView
    headers: dict[str, str]


def ack_of(outcome: Placed | CancelPlaced | AmendPlaced) -> Ack:
    """202 for a request that was stored now, 200 for an order that had been stored before."""
    match outcome:
        case Placed(order_id, command_id, status, is_replay, take_profit, stop_loss):
            headers = {"Location": f"/orders/{order_id}", "X-Command-Id": command_id}
            if is_replay:
                headers["Idempotent-Replayed"] = "true"
            body = OrderTaken(order_id, status, take_profit, stop_loss)
            return Ack(HTTPStatus.OK if is_replay else HTTPStatus.ACCEPTED, body, headers)
        case CancelPlaced(order_id, command_id):
            return Ack(HTTPStatus.ACCEPTED, CancelTaken(order_id), {"X-Command-Id": command_id})
        case AmendPlaced(order_id, command_id):
            return Ack(HTTPStatus.ACCEPTED, AmendTaken(order_id), {"X-Command-Id": command_id})


def cancel_all_ack(outcome: Answers) -> Ack:
    """202 for the cancels of all live orders."""
    return group_ack(outcome.outcomes, HTTPStatus.ACCEPTED)


def group_ack(outcomes: Sequence[OneOutcome], status: HTTPStatus) -> Ack:
    """The outcome of each request of several, under one status."""
    views = [_view(outcome) for outcome in outcomes]
    last = _last_command([view.command_id for view in views if view.command_id is not None])
    return Ack(status, OrderAnswersView(views), {} if last is None else {"X-Command-Id": last})


def _last_command(commands: Sequence[str]) -> str | None:
    """The last command: once it is persisted, all are. None when the commands are of several markets, or there are none."""
    parsed = [command for command in map(parse_public_command_id, commands) if command is not None]
    markets = {market for market, _ in parsed}
    return public_command_id(*max(parsed)) if len(markets) == 1 else None


def _view(outcome: OneOutcome) -> OrderAnswerView:
    match outcome:
        case Placed():
            named = (outcome.order_id, outcome.status, outcome.command_id, outcome.is_replay, None)
            return OrderAnswerView(*named, outcome.take_profit_order_id, outcome.stop_loss_order_id)
        case CancelPlaced():
            return OrderAnswerView(outcome.order_id, "PENDING_CANCEL", outcome.command_id, False, None)
        case AmendPlaced():
            return OrderAnswerView(outcome.order_id, "PENDING_AMEND", outcome.command_id, False, None)
        case Refused():
            why = RefusalView(outcome.code, outcome.message, outcome.details)
            return OrderAnswerView(None, None, None, False, why)


async def submitted(request: web.Request, asked: OneRequest) -> web.Response:
    """Submit a request and answer with its outcome; raises its refusal."""
    outcome = await services_of(request).submissions.submit(asked)
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    answer = ack_of(outcome)
    return json_answer(answer.body, answer.status, answer.headers)
