"""The caller's leverage by market."""

from aiohttp import web

from api.bodies import BodyReader
from api.errors import refusal_of
from api.paging import MARKET, PAGING, page_answer, page_request
from api.paths import market_id_of, of_market
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import LeverageRequest, LeverageView
from schemas.rest.api_keys import Scope
from schemas.rest.bodies import Page
from store.submission.leverage import LeverageWish, change_leverage, list_leverages, read_leverages

_leverage = BodyReader(LeverageRequest)
_LISTED = (*PAGING, MARKET)


async def change(request: web.Request, user: int) -> web.Response:
    """Set the caller's leverage in a market: for the position, the live orders and all later orders."""
    asked, services = await _leverage.read(request), services_of(request)
    wish = LeverageWish(user, market_id_of(request), asked.leverage)
    outcome = await services.database.run(lambda session: change_leverage(session, services.registry, wish))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return json_answer(outcome)


async def show(request: web.Request, user: int) -> web.Response:
    """The caller's leverage in a market, with or without a position there."""
    name, services = market_id_of(request), services_of(request)
    views = await services.database.run(lambda session: read_leverages(session, services.registry, user))
    return json_answer(of_market(name, next((view for view in views if view.market_id == name), None)))


async def list_all(request: web.Request, user: int) -> web.Response:
    """The caller's leverage in every market."""
    asked, services = page_request(request, _LISTED), services_of(request)
    return page_answer(
        await services.database.run(lambda session: list_leverages(session, services.registry, user, asked))
    )


ROUTES = (
    Route(
        "GET",
        "/leverage",
        list_all,
        "listLeverages",
        "List the leverage in every market",
        {200: Answer(Page[LeverageView], "The leverage by market, and the margin that it requires.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_LISTED,
        tag="account",
    ),
    Route(
        "GET",
        "/positions/{marketId}/leverage",
        show,
        "getLeverage",
        "Show the leverage in a market",
        {200: Answer(LeverageView, "The current leverage, and the margin that it requires.")},
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        tag="account",
    ),
    Route(
        "POST",
        "/positions/{marketId}/leverage",
        change,
        "setLeverage",
        "Set the leverage in a market",
        {200: Answer(LeverageView, "The current leverage, and the margin that it requires.")},
        access=Access.USER,
        scope=Scope.TRADE,
        body=LeverageRequest,
        errors=(ErrorCode.MARKET_NOT_FOUND, ErrorCode.INVALID_ORDER, ErrorCode.INSUFFICIENT_MARGIN),
        tag="account",
    ),
)
