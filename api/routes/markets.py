"""The listed markets with their rules and marks; public."""

from aiohttp import web

from api.answers import json_answer
from api.paging import PAGING, list_answer, list_request
from api.paths import market_id_of, no_such_market
from api.route import Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest import MarketView, Page
from store.queries.markets import list_markets, read_market


async def list_all(request: web.Request) -> web.Response:
    """Every listed market."""
    asked = list_request(request, PAGING)
    return list_answer(request, await services_of(request).database.run(lambda session: list_markets(session, asked)))


async def show(request: web.Request) -> web.Response:
    """One market."""
    name = market_id_of(request)
    market = await services_of(request).database.run(lambda session: read_market(session, name))
    if market is None:
        raise no_such_market(name)
    return json_answer(market)


ROUTES = (
    Route(
        "GET",
        "/markets",
        list_all,
        "List the markets",
        {200: Answer(list[MarketView] | Page[MarketView], "The markets.")},
        parameters=PAGING,
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}",
        show,
        "Show a market",
        {200: Answer(MarketView, "The market.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        tag="markets",
    ),
)
