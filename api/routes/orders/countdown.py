"""The dead-man's switch: cancels the caller's orders by itself unless the caller goes on asking for more time."""

from aiohttp import web

from api.access.budgets import Budget
from api.bodies import BodyReader
from api.errors import Refusal, refusal_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import Scope
from schemas.rest.countdowns import COUNTDOWN_MS_MAX, COUNTDOWN_MS_MIN, CountdownRequest, CountdownView
from schemas.units import divide_up, format_timestamp
from store.submission import CountdownSet, SubmitCountdown

MARKETS_A_CALL = 10
"""A countdown of all markets counts as one cancel for so many of them."""
_countdown = BodyReader(CountdownRequest, misfit=ErrorCode.INVALID_ORDER)


async def set_countdown(request: web.Request, user: int) -> web.Response:
    """Replace the countdown of a market, or of every market."""
    asked, services = await _countdown.read(request), services_of(request)
    if 0 < asked.countdown_ms < COUNTDOWN_MS_MIN:
        limits = {"min": COUNTDOWN_MS_MIN, "max": COUNTDOWN_MS_MAX, "got": asked.countdown_ms}
        message = f"countdownMs must be 0, or {COUNTDOWN_MS_MIN} to {COUNTDOWN_MS_MAX}"
        raise Refusal(ErrorCode.INVALID_ORDER, message, {"field": "countdownMs", **limits})
    markets = 1 if asked.market_id is not None else len(services.registry.by_name)
    services.limits.take_up_to(request, Budget.CANCELS, user, divide_up(markets, MARKETS_A_CALL))
    outcome = await services.submissions.submit(SubmitCountdown(user, asked.market_id, asked.countdown_ms, asked.scope))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    commands = [each.command_id for each in outcome.countdowns]
    headers = {"X-Command-Id": commands[0]} if len(commands) == 1 else None
    return json_answer([_view(each) for each in outcome.countdowns], headers=headers)


def _view(countdown: CountdownSet) -> CountdownView:
    at = countdown.cancels_at
    return CountdownView(countdown.market, countdown.countdown_ms, None if at is None else format_timestamp(at))


ROUTES = (
    Route(
        "POST",
        "/orders/countdown",
        set_countdown,
        "setCountdown",
        "Start, renew or stop the dead-man's switch",
        {200: Answer(list[CountdownView], "The countdown of each market.", ("X-Command-Id",))},
        access=Access.USER,
        scope=Scope.TRADE,
        body=CountdownRequest,
        errors=(
            ErrorCode.INVALID_ORDER,
            ErrorCode.MARKET_NOT_FOUND,
            ErrorCode.MARKET_NOT_ACTIVE,
            ErrorCode.OVERLOADED,
        ),
        tag="orders",
    ),
)
