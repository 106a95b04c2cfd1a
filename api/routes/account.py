"""The caller's account: profile, balances, positions and fills."""

from aiohttp import web

from api.errors import Refusal
from api.paging import MARKET, ORDER, ORDERED, PAGING, TIMED, list_answer, list_request
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.accounts import BalanceView, PositionView
from schemas.rest.api_keys import Scope
from schemas.rest.bodies import Page
from schemas.rest.orders import FillView
from schemas.rest.users import MeView
from store.queries.accounts.balances import list_balances
from store.queries.accounts.fills import list_fills
from store.queries.accounts.positions import Ranking, list_positions
from store.users.users import read_user

_POSITIONS = (*PAGING, MARKET)
_FILLS = (*ORDERED, *TIMED, ORDER)


async def me(request: web.Request, user: int) -> web.Response:
    """The caller's user."""
    found = await services_of(request).database.run(lambda session: read_user(session, user))
    if found is None:
        raise Refusal(ErrorCode.UNAUTHENTICATED, "there is no such user")
    return json_answer(found)


async def balances(request: web.Request, user: int) -> web.Response:
    """The caller's balances: what they own, and how much of it is free."""
    asked = list_request(request, PAGING)
    page = await services_of(request).database.run(lambda session: list_balances(session, user, asked))
    return list_answer(request, page)


async def positions(request: web.Request, user: int) -> web.Response:
    """The caller's open positions, valued at mark."""
    asked, services = list_request(request, _POSITIONS), services_of(request)
    ranking = Ranking(services.ranks, services.now())
    page = await services.database.run(lambda session: list_positions(session, user, asked, ranking))
    return list_answer(request, page)


async def fills(request: web.Request, user: int) -> web.Response:
    """The caller's fills, newest first."""
    asked = list_request(request, _FILLS)
    page = await services_of(request).database.run(lambda session: list_fills(session, user, asked))
    return list_answer(request, page)


ROUTES = (
    Route(
        "GET",
        "/me",
        me,
        "getMe",
        "Show the caller",
        {200: Answer(MeView, "The caller.")},
        access=Access.USER,
        scope=Scope.READ,
        tag="account",
    ),
    Route(
        "GET",
        "/balances",
        balances,
        "listBalances",
        "List balances",
        {200: Answer(list[BalanceView] | Page[BalanceView], "Balances, one per asset.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=PAGING,
        tag="account",
    ),
    Route(
        "GET",
        "/positions",
        positions,
        "listPositions",
        "List open positions",
        {200: Answer(list[PositionView] | Page[PositionView], "Open positions, valued at mark.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_POSITIONS,
        tag="account",
    ),
    Route(
        "GET",
        "/fills",
        fills,
        "listFills",
        "List fills, newest or oldest first",
        {200: Answer(list[FillView] | Page[FillView], "Fills.")},
        access=Access.USER,
        scope=Scope.READ,
        parameters=_FILLS,
        tag="account",
    ),
)
