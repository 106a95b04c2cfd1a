"""Administrator routes that look accounts up: a user with their money, positions, orders, fills, ledger and API keys."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from api.paging import MARKET, ORDER, ORDERED, PAGING, STATUS, TIMED, flag, page_answer, page_request
from api.paths import no_such_user, user_id_in
from api.responses import json_answer
from api.route import Access, Answer, Parameter, Route
from api.services import Services, services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import LedgerEntryView, PositionView
from schemas.rest.api_keys import ApiKeyView
from schemas.rest.bodies import Page
from schemas.rest.operating.acts import UserAccountView, UserView
from schemas.rest.orders import FillView, OrderView
from store.queries.accounts.fills import list_fills
from store.queries.accounts.ledger import list_ledger
from store.queries.accounts.orders import list_orders
from store.queries.accounts.positions import Ranking, list_positions
from store.queries.operations.users import list_users, read_user_account
from store.queries.paging import ListRequest
from store.session.connect import Session
from store.users.api_keys import list_keys

SEARCH = Parameter(
    "search", {"type": "string", "minLength": 1, "maxLength": 256}, "A user id, or the beginning of an e-mail address"
)
FROZEN = Parameter("frozen", {"type": "boolean"}, "`true`: only frozen accounts")
_USERS = (*PAGING, SEARCH, FROZEN)
Reading = Callable[[Session, int, ListRequest, Services], Awaitable[Page[Any] | Refused]]


async def users(request: web.Request, _admin: int) -> web.Response:
    """Users by id or e-mail, newest first."""
    asked, search = page_request(request, _USERS), request.query.get(SEARCH.name)
    is_frozen = flag(request, FROZEN)
    found = await services_of(request).database.run(
        lambda session: list_users(session, search, asked, is_frozen=is_frozen)
    )
    return page_answer(found)


async def user(request: web.Request, _admin: int) -> web.Response:
    """One user with their money."""
    services, named = services_of(request), user_id_in(request)
    found = await services.database.run(lambda session: read_user_account(session, named, services.now()))
    if found is None:
        raise no_such_user()
    return json_answer(found)


def _list_of(name: str, operation_id: str, view: Any, reading: Reading, parameters: tuple[Parameter, ...]) -> Route:
    """A list of what one user has, as that user sees it."""

    async def listed(request: web.Request, _admin: int) -> web.Response:
        services, named, asked = services_of(request), user_id_in(request), page_request(request, parameters)
        return page_answer(await services.database.run(lambda session: reading(session, named, asked, services)))

    return Route(
        "GET",
        f"/admin/users/{{userId}}/{name}",
        listed,
        operation_id,
        f"List the {name.replace('-', ' ').replace('api', 'API')} of a user",
        {200: Answer(Page[view], "As the user sees them; none for an unknown user.")},
        access=Access.ADMIN,
        errors=(ErrorCode.NOT_FOUND,),
        parameters=parameters,
        tag="admin",
    )


ROUTES = (
    Route(
        "GET",
        "/admin/users",
        users,
        "listUsers",
        "List users, newest first",
        {200: Answer(Page[UserView], "Users.")},
        access=Access.ADMIN,
        parameters=_USERS,
        tag="admin",
    ),
    Route(
        "GET",
        "/admin/users/{userId}",
        user,
        "getUser",
        "Show a user with their money",
        {200: Answer(UserAccountView, "The user.")},
        access=Access.ADMIN,
        errors=(ErrorCode.NOT_FOUND,),
        tag="admin",
    ),
    _list_of(
        "positions",
        "listUserPositions",
        PositionView,
        lambda session, named, asked, services: list_positions(
            session, named, asked, Ranking(services.ranks, services.now())
        ),
        (*PAGING, MARKET),
    ),
    _list_of(
        "orders",
        "listUserOrders",
        OrderView,
        lambda session, named, asked, _services: list_orders(session, named, asked),
        (*ORDERED, *TIMED, STATUS),
    ),
    _list_of(
        "fills",
        "listUserFills",
        FillView,
        lambda session, named, asked, _services: list_fills(session, named, asked),
        (*ORDERED, *TIMED, ORDER),
    ),
    _list_of(
        "ledger",
        "listUserLedgerEntries",
        LedgerEntryView,
        lambda session, named, asked, _services: list_ledger(session, named, asked),
        (*ORDERED, *TIMED),
    ),
    _list_of(
        "api-keys",
        "listUserApiKeys",
        ApiKeyView,
        lambda session, named, asked, _services: list_keys(session, named, asked),
        PAGING,
    ),
)
