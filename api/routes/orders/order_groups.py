"""Several orders at once: place a batch, and cancel all live orders."""

from collections.abc import Sequence

from aiohttp import web

from api.access.budgets import Budget
from api.bodies import BodyReader
from api.errors import refusal_of
from api.paging import MARKET, SIDE, market_and_side
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.ids import parse_public_command_id, public_command_id
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import Scope
from schemas.rest.order_groups import BatchRequest, OrderAnswersView, OrderAnswerView, RefusalView
from store.submission import AmendPlaced, CancelPlaced, OneOutcome, Placed, SubmitCancelAll, SubmitGroup

_batch = BodyReader(BatchRequest, misfit=ErrorCode.INVALID_ORDER)


async def place_batch(request: web.Request, user: int) -> web.Response:
    """Place up to 20 orders, one after the other; each is accepted or refused on its own. The rate limit accepts all of them or none."""
    services, orders = services_of(request), (await _batch.read(request)).orders
    services.limits.take_of_batch(request, Budget.ORDERS, user, len(orders))
    outcome = await services.submissions.submit(SubmitGroup(user, tuple(orders)))
    outcomes = [outcome] * len(orders) if isinstance(outcome, Refused) else outcome.outcomes
    return _answer(outcomes, status=200)


async def cancel_all(request: web.Request, user: int) -> web.Response:
    """Request the cancellation of the caller's live and waiting orders, of one market or all, of one side or both: one command for
    each market."""
    market, side = market_and_side(request)
    outcome = await services_of(request).submissions.submit(SubmitCancelAll(user, market, side))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return _answer(outcome.outcomes, status=202)


def _answer(outcomes: Sequence[OneOutcome], status: int) -> web.Response:
    views = [_view(outcome) for outcome in outcomes]
    last = _last_command([view.command_id for view in views if view.command_id is not None])
    return json_answer(OrderAnswersView(views), status, None if last is None else {"X-Command-Id": last})


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


ROUTES = (
    Route(
        "POST",
        "/orders/batch",
        place_batch,
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
        "Cancel all orders",
        {202: Answer(OrderAnswersView, "Every live order is being cancelled.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        errors=(ErrorCode.MARKET_NOT_FOUND, ErrorCode.OVERLOADED),
        parameters=(MARKET, SIDE),
        tag="orders",
    ),
)
