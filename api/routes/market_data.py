"""Public market data: order book, trades, candles and ticker, read from the tables of the projection."""

from aiohttp import web

from api.paging import FROM, ORDERED, TO, market_page_answer, one_of, page_request, whole_number
from api.paths import market_id_of, of_market
from api.responses import json_answer
from api.route import Answer, Parameter, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.bodies import Page
from schemas.rest.market_data import CandleInterval, CandleView, OrderBookView, TickerView, TradeView
from store.queries.market_data.candles import list_candles
from store.queries.market_data.order_book import DEPTH_DEFAULT, DEPTH_MAX, read_order_book
from store.queries.market_data.ticker import read_ticker
from store.queries.market_data.trades import list_trades

_INTERVALS = [interval.value for interval in CandleInterval]
_DEPTH = Parameter(
    "depth",
    {"type": "integer", "minimum": 1, "maximum": DEPTH_MAX, "default": DEPTH_DEFAULT},
    "Levels per side",
)
_INTERVAL = Parameter(
    "interval",
    {"type": "string", "enum": _INTERVALS, "default": CandleInterval.MINUTE.value},
    "Length of a candle",
)
_TRADES = (*ORDERED, FROM, TO)
_CANDLES = (*_TRADES, _INTERVAL)


async def order_book(request: web.Request) -> web.Response:
    """The resting orders of a market, summed by price."""
    name, depth = market_id_of(request), whole_number(request, _DEPTH)
    book = await services_of(request).database.run(lambda session: read_order_book(session, name, depth))
    return json_answer(of_market(name, book))


async def trades(request: web.Request) -> web.Response:
    """The trades of a market, newest first."""
    name, asked = market_id_of(request), page_request(request, _TRADES)
    page = await services_of(request).database.run(lambda session: list_trades(session, name, asked))
    return market_page_answer(name, page)


async def candles(request: web.Request) -> web.Response:
    """The candles of a market, newest first."""
    name, asked = market_id_of(request), page_request(request, _CANDLES)
    interval = CandleInterval(one_of(request, _INTERVAL))
    page = await services_of(request).database.run(lambda session: list_candles(session, name, interval, asked))
    return market_page_answer(name, page)


async def ticker(request: web.Request) -> web.Response:
    """A market at a glance."""
    name = market_id_of(request)
    view = await services_of(request).database.run(lambda session: read_ticker(session, name))
    return json_answer(of_market(name, view))


ROUTES = (
    Route(
        "GET",
        "/markets/{marketId}/orderbook",
        order_book,
        "getOrderBook",
        "Show a market's order book",
        {200: Answer(OrderBookView, "The best levels, exact as of event `sequence`.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        parameters=(_DEPTH,),
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}/trades",
        trades,
        "listTrades",
        "List a market's trades, newest or oldest first",
        {200: Answer(Page[TradeView], "Trades.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        parameters=_TRADES,
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}/candles",
        candles,
        "listCandles",
        "List a market's candles, newest or oldest first",
        {200: Answer(Page[CandleView], "Candles; the newest may still change.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        parameters=_CANDLES,
        tag="markets",
    ),
    Route(
        "GET",
        "/markets/{marketId}/ticker",
        ticker,
        "getTicker",
        "Show a market at a glance",
        {200: Answer(TickerView, "Last trade, best bid and ask, mark, funding and the last 24 hours.")},
        errors=(ErrorCode.MARKET_NOT_FOUND,),
        tag="markets",
    ),
)
