"""The guard at the door of every route: who calls, may he, and must he wait."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from multidict import CIMultiDictProxy

from api.errors import Refusal
from api.route import Access, Route
from api.services import services_of
from api.tokens import Tokens
from api.waiting import after_waiting
from schemas.refusals import ErrorCode
from store.users import role_of

ADMIN = "admin"


def guarded(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route's handler behind its guard; a query string on a route that knows none is refused.

    What reads waits, behind the guard, for the command that the request names.
    """
    handler, takes_query = after_waiting(route.handler) if route.can_wait else route.handler, route.takes_query

    async def public(request: web.Request) -> web.StreamResponse:
        _check_query(request, takes_query)
        return await handler(request)

    async def for_users(request: web.Request) -> web.StreamResponse:
        user = user_of(request)
        _check_query(request, takes_query)
        return await handler(request, user)

    async def for_administrators(request: web.Request) -> web.StreamResponse:
        user = user_of(request)
        await check_admin(request, user)
        _check_query(request, takes_query)
        return await handler(request, user)

    return {Access.PUBLIC: public, Access.USER: for_users, Access.ADMIN: for_administrators}[route.access]


def user_of(request: web.Request) -> int:
    """The user whom the request's one bearer token names; refuses with UNAUTHENTICATED."""
    user = bearer_of(request.headers, services_of(request).tokens)
    if user is None:
        raise Refusal(ErrorCode.UNAUTHENTICATED, "a valid bearer token is required")
    return user


def bearer_of(headers: CIMultiDictProxy[str], tokens: Tokens) -> int | None:
    """The user whom the one bearer token in these headers names; None when there is not exactly one, or not a valid one."""
    named = headers.getall("Authorization", ())
    if len(named) != 1:
        return None
    scheme, _, token = named[0].partition(" ")
    return tokens.user_of(token) if scheme.lower() == "bearer" else None


async def check_admin(request: web.Request, user: int) -> None:
    """Refuse with FORBIDDEN unless the user is an administrator now; the token says nothing about roles."""
    role = await services_of(request).database.run(lambda session: role_of(session, user))
    if role != ADMIN:
        raise Refusal(ErrorCode.FORBIDDEN, "only an administrator may do this")


def _check_query(request: web.Request, takes_query: bool) -> None:
    if not takes_query and "?" in request.raw_path and request.query_string:
        raise Refusal(ErrorCode.INVALID_REQUEST, "this route takes no query parameters")
