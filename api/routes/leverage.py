"""The caller's leverage in a market."""

from aiohttp import web

from api.bodies import BodyReader
from api.errors import refusal_of
from api.paths import market_id_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import LeverageRequest, LeverageView
from schemas.rest.api_keys import Scope
from store.submission.leverage import LeverageWish, change_leverage

_leverage = BodyReader(LeverageRequest)


async def change(request: web.Request, user: int) -> web.Response:
    """Set the caller's leverage in a market: for the position, the live orders and all later orders."""
    asked, services = await _leverage.read(request), services_of(request)
    wish = LeverageWish(user, market_id_of(request), asked.leverage)
    outcome = await services.database.run(lambda session: change_leverage(session, services.registry, wish))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return json_answer(outcome)


ROUTES = (
    Route(
        "POST",
        "/positions/{marketId}/leverage",
        change,
        "Set the leverage in a market",
        {200: Answer(LeverageView, "The current leverage, and the margin that it requires.")},
        access=Access.USER,
        scope=Scope.TRADE,
        body=LeverageRequest,
        errors=(ErrorCode.MARKET_NOT_FOUND, ErrorCode.INVALID_ORDER, ErrorCode.INSUFFICIENT_MARGIN),
        tag="account",
    ),
)
