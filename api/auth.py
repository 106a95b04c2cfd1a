"""The guard at the door of every route: who calls, may he, and must he wait."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from api.errors import Refusal
from api.route import Access, Route
from api.services import services_of
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
    headers = request.headers.getall("Authorization", ())
    if len(headers) == 1:
        scheme, _, token = headers[0].partition(" ")
        if scheme.lower() == "bearer":
            user = services_of(request).tokens.user_of(token)
            if user is not None:
                return user
    raise Refusal(ErrorCode.UNAUTHENTICATED, "a valid bearer token is required")


async def check_admin(request: web.Request, user: int) -> None:
    """Refuse with FORBIDDEN unless the user is an administrator now; the token says nothing about roles."""
    role = await services_of(request).database.run(lambda session: role_of(session, user))
    if role != ADMIN:
        raise Refusal(ErrorCode.FORBIDDEN, "only an administrator may do this")


def _check_query(request: web.Request, takes_query: bool) -> None:
    if not takes_query and "?" in request.raw_path and request.query_string:
        raise Refusal(ErrorCode.INVALID_REQUEST, "this route takes no query parameters")
