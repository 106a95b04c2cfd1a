"""The listed markets with their rules, marks and funding, and the time; public."""

from aiohttp import web

from api.paging import FROM, ORDERED, PAGING, TO, list_answer, list_request, market_page_answer, page_request
from api.paths import market_id_of, of_market
from api.responses import json_answer
from api.route import Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.bodies import Page
from schemas.rest.markets import MarketFundingView, MarketView, RiskTierView, TimeView
from schemas.units import format_timestamp
from store.queries.market_data.funding import read_funding
from store.queries.market_data.markets import list_markets, read_market

_HISTORY = (*ORDERED, FROM, TO)


async def list_all(request: web.Request) -> web.Response:
    """Every listed market."""
    asked = list_request(request, PAGING)
    return list_answer(request, await services_of(request).database.run(lambda session: list_markets(session, asked)))


async def show(request: web.Request) -> web.Response:
    """One market."""
    name = market_id_of(request)
    market = await services_of(request).database.run(lambda session: read_market(session, name))
    return json_answer(of_market(name, market))


async def risk_tiers(request: web.Request) -> web.Response:
    """The risk tiers of a market; one, if it has no others."""
    name = market_id_of(request)
    market = await services_of(request).database.run(lambda session: read_market(session, name))
    return json_answer(of_market(name, market).risk_tiers)


async def funding(request: web.Request) -> web.Response:
    """A market's funding rate, the predicted one, and its history."""
    name, asked = market_id_of(request), page_request(request, _HISTORY)
    page = await services_of(request).database.run(lambda session: read_funding(session, name, asked))
    return market_page_answer(name, page)


async def current_time(request: web.Request) -> web.Response:
    """The exchange's time, by which times in requests are judged."""
    return json_answer(TimeView(format_timestamp(services_of(request).now())))


ROUTES = (
    Route(
        "GET",
        "/time",
        current_time,
        "getTime",
        "Show the time",
        {200: Answer(TimeView, "The time of the process that answers.")},
        tag="markets",
    ),
    Route(
        "GET",
        "/markets",
        list_all,
        "listMarkets",
        "List the markets",
        {200: Answer(list[MarketView] | Page[MarketView], "The markets.")},
        parameters=PAGING,
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}",
        show,
        "getMarket",
        "Show a market",
        {200: Answer(MarketView, "The market.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}/risk-tiers",
        risk_tiers,
        "listRiskTiers",
        "Show a market's risk tiers",
        {
            200: Answer(
                list[RiskTierView], "The tiers, by notional. The last one's `notionalUpTo` is the largest position."
            )
        },
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}/funding",
        funding,
        "getMarketFunding",
        "Show a market's funding, now and in the past",
        {200: Answer(MarketFundingView, "The current rate, the predicted rate, and a page of past intervals.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        parameters=_HISTORY,
        tag="markets",
    ),
)
