"""Stored API keys: created, listed, revoked, and found by the hash of their secret. The secret itself is never stored."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import ApiKeyView, Scope
from schemas.rest.bodies import Page
from schemas.units import Timestamp, datetime_of, datetime_or_none, timestamp_or_none
from store.queries.formatting import time_text, time_text_or_none
from store.queries.paging import Conditions, Int8, ListRequest, decode_cursor, in_order, page_of
from store.session.connect import Session
from store.users.networks import Address, Network

KEYS_MAX = 20
"""The maximum number of active keys per user."""
_SELECT = """
SELECT key_id, label, scopes, allowed_addresses, created_at, expires_at, revoked_at FROM api_keys WHERE
"""
_LOCK_USER = "SELECT 1 FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE"
_COUNT = """
SELECT count(*) FROM api_keys WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
"""
_CREATE = """
INSERT INTO api_keys (user_id, secret_hash, label, scopes, allowed_addresses, created_at, expires_at, signing_nonce)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING key_id, label, scopes, allowed_addresses, created_at, expires_at, revoked_at
"""
_REVOKE = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE key_id = $1 AND user_id = $2
RETURNING key_id, label, scopes, allowed_addresses, created_at, expires_at, revoked_at
"""
_FIND = """
SELECT key_id, user_id, scopes, allowed_addresses, expires_at FROM api_keys
WHERE secret_hash = $1 AND revoked_at IS NULL
"""
_FIND_NONCE = "SELECT signing_nonce FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL"


class NewKey(NamedTuple):
    """A key to create; `secret_hash` is the SHA-256 of its secret, `nonce` what that is derived from if the key can sign."""

    user: int
    secret_hash: bytes
    label: str
    scopes: Sequence[Scope]
    networks: Sequence[Network]
    expires_at: Timestamp | None
    nonce: bytes | None = None


class ActiveKey(NamedTuple):
    """A key that is not revoked: its owner, its scopes, the networks it is bound to, and its expiry."""

    key_id: int
    user: int
    scopes: frozenset[Scope]
    networks: tuple[Network, ...]
    expires_at: Timestamp | None

    def works_from(self, address: Address) -> bool:
        """Whether the key may be used from this address; without a list of networks, from any."""
        return not self.networks or any(address in network for network in self.networks)

    def is_over(self, now: Timestamp) -> bool:
        """Whether the key has expired."""
        return self.expires_at is not None and self.expires_at <= now


async def create_key(session: Session, key: NewKey, at: Timestamp) -> ApiKeyView | Refused:
    """Create a key. Refused: API_KEY_LIMIT_REACHED. The account is locked, so two calls cannot exceed the limit together."""
    expires_at = datetime_or_none(key.expires_at)
    async with session.transaction():
        await session.execute(_LOCK_USER, key.user)
        count = await session.fetchval(_COUNT, key.user, datetime_of(at))
        if count >= KEYS_MAX:
            return Refused(ErrorCode.API_KEY_LIMIT_REACHED, f"a user has at most {KEYS_MAX} active keys")
        scopes = [scope.value for scope in key.scopes]
        values = (key.user, key.secret_hash, key.label, scopes, key.networks, datetime_of(at), expires_at, key.nonce)
        return key_view(await session.fetchrow(_CREATE, *values))


async def list_keys(session: Session, user: int, request: ListRequest) -> Page[ApiKeyView] | Refused:
    """A page of a user's keys, newest first, revoked ones included."""
    after = decode_cursor(request.cursor, Int8)
    if isinstance(after, Refused):
        return after
    where = Conditions("user_id = {}", user)
    if after is not None:
        where.add_after(("key_id",), (after,), request)
    rows = await session.fetch(f"{_SELECT}{where}{in_order(('key_id',), request)}", *where.arguments)
    return page_of(rows, request.limit, lambda row: row["key_id"], key_view)


async def revoke_key(session: Session, user: int, key_id: int, at: Timestamp) -> ApiKeyView | None:
    """Revoke a key permanently; repeating it changes nothing. None when the user has no such key."""
    row = await session.fetchrow(_REVOKE, key_id, user, datetime_of(at))
    return None if row is None else key_view(row)


async def find_key(session: Session, secret_hash: bytes) -> ActiveKey | None:
    """The key whose secret has this hash, unless it is revoked."""
    row = await session.fetchrow(_FIND, secret_hash)
    if row is None:
        return None
    expires_at = timestamp_or_none(row["expires_at"])
    scopes = frozenset(map(Scope, row["scopes"]))
    return ActiveKey(row["key_id"], row["user_id"], scopes, tuple(row["allowed_addresses"]), expires_at)


async def find_nonce(session: Session, key_id: int) -> bytes | None:
    """The nonce of a key that can sign and is not revoked."""
    nonce: bytes | None = await session.fetchval(_FIND_NONCE, key_id)
    return nonce


def key_view(row: Any) -> ApiKeyView:
    """A row of `api_keys` as the API returns it."""
    return ApiKeyView(
        key_id=str(row["key_id"]),
        label=row["label"],
        scopes=[Scope(scope) for scope in row["scopes"]],
        allowed_addresses=[str(network) for network in row["allowed_addresses"]],
        created_at=time_text(row["created_at"]),
        expires_at=time_text_or_none(row["expires_at"]),
        revoked_at=time_text_or_none(row["revoked_at"]),
    )
