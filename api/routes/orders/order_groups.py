"""Several orders at once: place a batch, and cancel all live orders."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from api.access.budgets import Budget
from api.bodies import BodyReader
from api.errors import refusal_of
from api.paging import MARKET, market_or_none
from api.paths import no_such_market
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.ids import parse_public_command_id, public_command_id
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import Scope
from schemas.rest.order_groups import BatchRequest, OrderAnswersView, OrderAnswerView, RefusalView
from schemas.rest.orders import NotOpen
from store.queries.accounts.orders import open_order_ids
from store.submission import (
    AmendPlaced,
    CancelPlaced,
    Placed,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitCancel,
    SubmitOrder,
)

_batch = BodyReader(BatchRequest, misfit=ErrorCode.INVALID_ORDER)
_UNAVAILABLE = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.OVERLOADED})


async def place_batch(request: web.Request, user: int) -> web.Response:
    """Place up to 20 orders, in their order; each is accepted or refused on its own. The rate limit accepts all of them or none."""
    orders = (await _batch.read(request)).orders
    services_of(request).limits.take_of_batch(request, Budget.ORDERS, user, len(orders))
    return _answer(await _outcomes_of(request, [SubmitOrder(user, order) for order in orders]), status=200)


async def cancel_all(request: web.Request, user: int) -> web.Response:
    """Request the cancellation of the caller's live and waiting orders, in one market or in all."""
    market = market_or_none(request)
    found = await services_of(request).database.run(lambda session: open_order_ids(session, user, market))
    if found is None:
        raise no_such_market(market or "")
    asked = [SubmitCancel(user, order_id) for order_id in found]
    outcomes = [_cancel_under_way(outcome) for outcome in await _outcomes_of(request, asked)]
    live = [outcome for outcome in outcomes if not _has_ended(outcome)]
    if live and all(isinstance(outcome, Refused) and outcome.code in _UNAVAILABLE for outcome in live):
        raise refusal_of(next(outcome for outcome in live if isinstance(outcome, Refused)))
    return _answer(live, status=202)


async def _outcomes_of(request: web.Request, asked: Sequence[SubmissionRequest]) -> list[SubmissionOutcome]:
    """Queue all requests before waiting for any, so that no other request comes between them."""
    submissions = services_of(request).submissions
    return await asyncio.gather(*[submissions.submit(each) for each in asked])


def _has_ended(outcome: SubmissionOutcome) -> bool:
    """Whether an order that was live when it was looked up ended before its cancel."""
    return _refused_since(outcome) is NotOpen.ENDED


def _refused_since(outcome: SubmissionOutcome) -> NotOpen | None:
    """Why an order could not be cancelled; None when it was, or when its cancel was not decided."""
    if not isinstance(outcome, Refused) or outcome.code is not ErrorCode.ORDER_NOT_OPEN or outcome.details is None:
        return None
    return NotOpen(str(outcome.details["reason"]))


def _cancel_under_way(outcome: SubmissionOutcome) -> SubmissionOutcome:
    """The earlier cancel of an order that is already being cancelled, which serves cancel-all as well; else the outcome."""
    if _refused_since(outcome) is not NotOpen.CANCEL_PENDING or not isinstance(outcome, Refused):
        return outcome
    details = outcome.details or {}
    return CancelPlaced(str(details["orderId"]), str(details["commandId"]))


def _answer(outcomes: Sequence[SubmissionOutcome], status: int) -> web.Response:
    views = [_view(outcome) for outcome in outcomes]
    last = _last_command([view.command_id for view in views if view.command_id is not None])
    return json_answer(OrderAnswersView(views), status, None if last is None else {"X-Command-Id": last})


def _last_command(commands: Sequence[str]) -> str | None:
    """The last command: once it is persisted, all are. None when the commands are of several markets, or there are none."""
    parsed = [command for command in map(parse_public_command_id, commands) if command is not None]
    markets = {market for market, _ in parsed}
    return public_command_id(*max(parsed)) if len(markets) == 1 else None


def _view(outcome: SubmissionOutcome) -> OrderAnswerView:
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
        {202: Answer(OrderAnswersView, "A cancel for every live order is stored.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        errors=(ErrorCode.MARKET_NOT_FOUND, ErrorCode.OVERLOADED),
        parameters=(MARKET,),
        tag="orders",
    ),
)
