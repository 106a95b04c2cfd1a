"""The guard of every route, except orders on the fast path (api/fast_path): authentication, authorization, rate limits, and read-your-writes waiting.

The caller is named by one header, `Authorization: Bearer …`, with the token of a login or an API key, or by a signature made with a key
(api.access.signatures), which leads to the key's secret: from there on both are the same.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web
from multidict import CIMultiDictProxy

from api.access.addresses import counted_as
from api.access.budgets import Budget
from api.access.signatures import Signed, is_signed, signed_of
from api.access.tokens import VerifiedToken
from api.access_log import CALLER, IS_PUBLIC_READ
from api.bodies import has_body, read_body
from api.errors import Refusal
from api.paths import shown_text
from api.read_your_writes import after_waiting
from api.route import Access, Route
from api.services import Services, services_of
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import KEY_PREFIX, Scope
from schemas.units import Timestamp
from store.users.api_keys import ActiveKey
from store.users.users import role_of

ADMIN = "admin"


def guarded(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route's handler with its guard; a query string or a body on a route that reads none is refused.

    A read that passes the guard then waits for the command that the request names.
    """
    handler = after_waiting(route.handler) if route.can_wait else route.handler
    takes_query, takes_body = route.takes_query, route.body is not None
    budget, scope = route.budget, route.scope

    async def public(request: web.Request) -> web.StreamResponse:
        if route.is_public_read:
            request[IS_PUBLIC_READ] = True
        services_of(request).limits.take(request, budget, address_name(request))
        await _check_unread(request, takes_query=takes_query, takes_body=takes_body)
        return await handler(request)

    async def counted_caller(request: web.Request) -> int:
        """The user of the token or key; refuses with UNAUTHENTICATED, FORBIDDEN or RATE_LIMITED."""
        signed = await _signed(request)
        word = bearer_word(request.headers) if signed is None else await signed_secret(request, signed)
        user = await caller_of(request, word, scope)
        request[CALLER] = user
        services_of(request).limits.take_of_user(request, budget, user)
        if signed is not None:  # last: it writes
            await services_of(request).signed.use(signed)
        return user

    async def for_users(request: web.Request) -> web.StreamResponse:
        user = await counted_caller(request)
        await _check_unread(request, takes_query=takes_query, takes_body=takes_body)
        return await handler(request, user)

    async def for_administrators(request: web.Request) -> web.StreamResponse:
        user = await counted_caller(request)
        await check_admin(request, user)
        await _check_unread(request, takes_query=takes_query, takes_body=takes_body)
        return await handler(request, user)

    return {Access.PUBLIC: public, Access.USER: for_users, Access.ADMIN: for_administrators}[route.access]


def plain_caller(services: Services, headers: CIMultiDictProxy[str], scope: Scope) -> int | None:
    """The user of the bearer token or key of a request, as `known_caller`."""
    return known_caller(services, bearer_word(headers), scope)


def known_caller(services: Services, word: str, scope: Scope) -> int | None:
    """The user of a token or key that has the scope, if that is known without a database query; else None.

    A key that is restricted to addresses is left to `caller_of`.
    """
    if not word.startswith(KEY_PREFIX):
        token = services.tokens.verified(word)
        return token.user if token is not None and services.logins.is_known_alive(token.login) else None
    key = services.keys.known(word)
    return key.user if key is not None and not key.networks and scope in key.scopes else None


class Caller(NamedTuple):
    """Whom a token or a key names, what it allows, when it ends, and the login of a token."""

    user: int
    scopes: frozenset[Scope]
    expires_at: Timestamp | None
    login: int | None = None


async def named_by(request: web.Request, word: str) -> Caller:
    """Whom a token or a key names; refuses with UNAUTHENTICATED or RATE_LIMITED."""
    if word.startswith(KEY_PREFIX):
        key = await _key_of(request, word)
        return Caller(key.user, key.scopes, key.expires_at)
    token = await _token_of(request, word)
    return Caller(token.user, frozenset(Scope), Timestamp(token.expires_at_s * 1_000_000), token.login)


async def caller_of(request: web.Request, word: str, scope: Scope | None) -> int:
    """The user of a token, or of a key that has the scope; refuses with UNAUTHENTICATED, FORBIDDEN or RATE_LIMITED."""
    if word.startswith(KEY_PREFIX):
        return _checked_scope(await _key_of(request, word), scope)
    return (await _token_of(request, word)).user


def login_of(request: web.Request) -> int:
    """The login that the token of a request came from, on a route that accepts no API keys."""
    token = services_of(request).tokens.verified(bearer_word(request.headers))
    if token is None:  # it has expired since the guard
        raise _unauthenticated(request)
    return token.login


def bearer_word(headers: CIMultiDictProxy[str]) -> str:
    """The value of the one bearer header; empty when there is not exactly one, or the request is signed."""
    named = headers.getall("Authorization", ())
    if len(named) != 1 or is_signed(headers):
        return ""
    scheme, _, word = named[0].partition(" ")
    return word if scheme.lower() == "bearer" else ""


async def signed_secret(request: web.Request, signed: Signed) -> str:
    """The secret that a request was signed with; refuses with UNAUTHENTICATED or RATE_LIMITED, counted as unknown keys are."""
    services = services_of(request)
    services.limits.check(request, Budget.UNAUTHENTICATED, address_name(request))
    try:
        return await services.signed.secret_of(signed)
    except Refusal:
        services.limits.take(request, Budget.UNAUTHENTICATED, address_name(request))
        raise


async def _signed(request: web.Request) -> Signed | None:
    """What a request that is signed says of itself."""
    if not is_signed(request.headers):
        return None
    return signed_of(request, await read_body(request) if await has_body(request) else b"")


async def check_admin(request: web.Request, user: int) -> None:
    """Refuse with FORBIDDEN unless the user is an administrator now; tokens carry no roles."""
    role = await services_of(request).database.run(lambda session: role_of(session, user))
    if role != ADMIN:
        raise Refusal(ErrorCode.FORBIDDEN, "only an administrator may do this")


async def _token_of(request: web.Request, word: str) -> VerifiedToken:
    services = services_of(request)
    token = services.tokens.verified(word)
    if token is None or not await services.logins.is_alive(token.login):
        raise _unauthenticated(request)
    return token


async def _key_of(request: web.Request, secret: str) -> ActiveKey:
    """A key. From an address that is not allowed it is refused as unknown, so a thief learns nothing about it."""
    services = services_of(request)
    key = services.keys.known(secret) or await _looked_up(request, secret)
    if key is None or (key.networks and not key.works_from(services.proxies.client_of(request))):
        raise _unauthenticated(request)
    return key


def _checked_scope(key: ActiveKey, scope: Scope | None) -> int:
    if scope not in key.scopes:
        needed = "no API key may do this" if scope is None else f"this needs an API key with the scope `{scope}`"
        raise Refusal(ErrorCode.FORBIDDEN, needed)
    return key.user


async def _looked_up(request: web.Request, secret: str) -> ActiveKey | None:
    """The key as the database has it, unless this address has sent too many invalid ones."""
    services = services_of(request)
    services.limits.check(request, Budget.UNAUTHENTICATED, address_name(request))
    return await services.keys.look_up(secret)


def _unauthenticated(request: web.Request) -> Refusal:
    """401, or RATE_LIMITED once the address has been refused too often."""
    services_of(request).limits.take(request, Budget.UNAUTHENTICATED, address_name(request))
    return Refusal(ErrorCode.UNAUTHENTICATED, "a valid bearer token or API key is required")


def address_name(request: web.Request) -> str:
    """The key under which calls from the client's address are counted."""
    return counted_as(services_of(request).proxies.client_of(request))


async def _check_unread(request: web.Request, *, takes_query: bool, takes_body: bool) -> None:
    """Refuse what the route would not read: its sender expects it to have an effect."""
    if not takes_query and "?" in request.raw_path and request.query_string:
        field = shown_text(next(iter(request.query), ""))
        raise Refusal(ErrorCode.INVALID_REQUEST, "this route takes no query parameters", {"field": field})
    if not takes_body and await has_body(request):
        raise Refusal(ErrorCode.INVALID_REQUEST, "this route takes no body", {"field": "body"})
