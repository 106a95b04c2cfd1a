"""The caller's API keys: create, list and revoke. Only a login token is accepted here, no API key."""

from datetime import UTC, datetime

from aiohttp import web

from api.access.api_keys import hash_of
from api.bodies import BodyReader
from api.errors import Refusal, refusal_of
from api.paging import ORDERED, page_answer, page_request
from api.paths import number_in, shown_text
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import ApiKeyCreated, ApiKeyRequest, ApiKeyView, Scope
from schemas.rest.bodies import Page
from schemas.units import Timestamp, timestamp_of
from store.users.api_keys import NewKey, create_key, list_keys, revoke_key
from store.users.networks import Network, parse_network

_request = BodyReader(ApiKeyRequest)
_THE_END = timestamp_of(datetime(9999, 1, 1, tzinfo=UTC))  # near datetime.max the driver sends `infinity` to PostgreSQL


async def create(request: web.Request, user: int) -> web.Response:
    """Create a key and show its secret, only this once."""
    asked, services = await _request.read(request), services_of(request)
    now, (secret, nonce) = services.now(), services.signed.new_key()
    key = NewKey(user, hash_of(secret), asked.label, _scopes(asked), _networks(asked), _expiry(asked, now), nonce)
    outcome = await services.database.run(lambda session: create_key(session, key, now))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return json_answer(ApiKeyCreated(secret, outcome), status=201)


async def list_own(request: web.Request, user: int) -> web.Response:
    """The caller's keys, newest first, revoked ones included."""
    asked = page_request(request, ORDERED)
    return page_answer(await services_of(request).database.run(lambda session: list_keys(session, user, asked)))


async def revoke(request: web.Request, user: int) -> web.Response:
    """Revoke a key permanently; within a second no process accepts it any more."""
    text, services = request.match_info["keyId"], services_of(request)
    key_id, now = number_in(text), services.now()
    revoked = await services.database.run(lambda session: revoke_key(session, user, key_id, now))
    if revoked is None:
        raise Refusal(ErrorCode.NOT_FOUND, "no such API key", {"keyId": shown_text(text)})
    return json_answer(revoked)


def _scopes(asked: ApiKeyRequest) -> list[Scope]:
    if len(set(asked.scopes)) < len(asked.scopes):
        raise _invalid("scopes", "names a scope twice")
    return sorted(asked.scopes)


def _networks(asked: ApiKeyRequest) -> list[Network]:
    networks = [parse_network(text) for text in asked.allowed_addresses]
    known = [network for network in networks if network is not None]
    if len(known) < len(networks):
        raise _invalid("allowedAddresses", "has an entry that is no address or network, or that has host bits set")
    return known


def _expiry(asked: ApiKeyRequest, now: Timestamp) -> Timestamp | None:
    if asked.expires_at is None:
        return None
    at = timestamp_of(asked.expires_at)
    if not now < at < _THE_END:
        raise _invalid("expiresAt", "is in the past, or after the year 9998")
    return at


def _invalid(field: str, why: str) -> Refusal:
    return Refusal(ErrorCode.INVALID_REQUEST, f"`{field}` {why}", {"field": field})


ROUTES = (
    Route(
        "POST",
        "/api-keys",
        create,
        "createApiKey",
        "Create an API key",
        {201: Answer(ApiKeyCreated, "The key; `secret` is not shown again.")},
        access=Access.USER,
        body=ApiKeyRequest,
        errors=(ErrorCode.API_KEY_LIMIT_REACHED,),
        tag="auth",
    ),
    Route(
        "GET",
        "/api-keys",
        list_own,
        "listApiKeys",
        "List API keys, newest or oldest first",
        {200: Answer(Page[ApiKeyView], "Keys without their secrets, including revoked ones.")},
        access=Access.USER,
        parameters=ORDERED,
        tag="auth",
    ),
    Route(
        "DELETE",
        "/api-keys/{keyId}",
        revoke,
        "revokeApiKey",
        "Revoke an API key",
        {200: Answer(ApiKeyView, "The key is revoked, everywhere within a second.")},
        access=Access.USER,
        errors=(ErrorCode.NOT_FOUND,),
        tag="auth",
    ),
)
