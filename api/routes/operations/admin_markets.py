"""Administrator routes about markets and processes: how they are, and halt, cancel-only and resume."""

from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal
from api.paths import market_id_of, no_such_market
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.routes.orders.order_trace import answer_trace
from api.services import services_of
from schemas.commands import SetStatus
from schemas.ids import public_command_id
from schemas.market import MarketStatus
from schemas.refusals import ErrorCode
from schemas.rest.operating.acts import ActView, StatusRequest
from schemas.rest.operating.console import MarketConsoleView, ProcessView
from schemas.rest.order_trace import OrderTraceView
from store.command_log.commands import MarketUnknown
from store.markets.price_sources import read_index_sources
from store.operators.acts import Operator
from store.operators.market_acts import Commanded, command_market
from store.queries.operations.markets import list_console_markets
from store.session.connect import Session
from store.session.presence import read_processes

_status = BodyReader(StatusRequest)


async def markets(request: web.Request, _admin: int) -> web.Response:
    """Every market with its status, owner, lags, sources and pace."""
    services = services_of(request)
    business = await services.database.run(lambda session: services.business.read(session, services.now()))
    return json_answer(
        await services.database.run(lambda session: list_console_markets(session, business.markets, services.now()))
    )


async def set_status(request: web.Request, admin: int) -> web.Response:
    """Halt a market, restrict it to cancels, or open it, through its log."""
    services, market, asked = services_of(request), market_id_of(request), await _status.read(request)
    command = SetStatus(services.now(), asked.wanted)

    async def send(session: Session) -> Commanded | None:
        if asked.wanted is MarketStatus.ACTIVE and not services.settings.opens_without_sources:
            found = (await read_index_sources(session)).get(market)
            if found is not None and not found.sources:
                return None
        return await command_market(session, Operator(admin, None), market, command, asked.reason)

    try:
        commanded = await services.database.run(send)
    except MarketUnknown as error:
        raise no_such_market(market) from error
    if commanded is None:
        details = {"marketId": market, "reason": "NO_PRICE_SOURCES"}
        raise Refusal(ErrorCode.MARKET_NOT_ACTIVE, "the market has no price sources: set them first", details)
    headers = {"X-Command-Id": public_command_id(market, commanded.seq)}
    return json_answer(commanded.act, status=202, headers=headers)


async def processes(request: web.Request, _admin: int) -> web.Response:
    """Every running process, and what it works for."""
    running = await services_of(request).database.run(read_processes)
    return json_answer(
        [
            ProcessView(
                name.kind,
                name.place,
                f"http://{name.metrics}/metrics" if name.metrics else None,
                [f"{task.work} {task.market}".rstrip() for task in tasks],
            )
            for name, tasks in running
        ]
    )


async def order_trace(request: web.Request, _admin: int) -> web.Response:
    """Every hop of anybody's order."""
    return await answer_trace(request, None)


ROUTES = (
    Route(
        "GET",
        "/admin/markets",
        markets,
        "listConsoleMarkets",
        "Show every market for its operators",
        {
            200: Answer(
                list[MarketConsoleView], "Markets; the counts of orders, positions and trades are at most 15 s old."
            )
        },
        access=Access.ADMIN,
        tag="admin",
    ),
    Route(
        "POST",
        "/admin/markets/{marketId}/status",
        set_status,
        "setMarketStatus",
        "Halt a market, restrict it to cancels, or open it",
        {
            202: Answer(
                ActView, "The command is in the market's log; `GET /admin/markets` shows the status.", ("X-Command-Id",)
            )
        },
        access=Access.ADMIN,
        body=StatusRequest,
        errors=(ErrorCode.MARKET_NOT_FOUND, ErrorCode.MARKET_NOT_ACTIVE),
        tag="admin",
    ),
    Route(
        "GET",
        "/admin/processes",
        processes,
        "listProcesses",
        "List the running processes",
        {200: Answer(list[ProcessView], "Processes.")},
        access=Access.ADMIN,
        tag="admin",
    ),
    Route(
        "GET",
        "/admin/orders/{orderId}/trace",
        order_trace,
        "getUserOrderTrace",
        "Trace anybody's order through the exchange",
        {200: Answer(OrderTraceView, "Every hop, with its time and place where known.")},
        access=Access.ADMIN,
        errors=(ErrorCode.ORDER_NOT_FOUND,),
        tag="admin",
    ),
)
