"""API key authentication: a key is looked up by its hash, and the result is cached for a second.

A key's secret is 32 bytes that nobody can guess, and only their SHA-256 is stored: no slow hash is needed. A failed look-up
reveals only that the hash of what was sent is not stored.
"""

import asyncio
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from api.database import Database
from schemas.rest.api_keys import KEY_PREFIX
from schemas.units import Timestamp
from store.users.api_keys import ActiveKey, find_key

BELIEVED_S = 1.0
"""How long a look-up is cached: a key that one process revokes stops working in every other within this time."""
_SECRET_BYTES = 32
_KEY_CHARACTERS = len(KEY_PREFIX) + 43


class _Cached(NamedTuple):
    key: ActiveKey
    until: float


class ApiKeys:
    """A cache of recently used keys. Concurrent requests with the same key share one database query."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], Timestamp],
        clock: Callable[[], float],
        *,
        remembered_max: int = 10_000,
    ) -> None:
        self._database = database
        self._now = now
        self._clock = clock
        self._remembered_max = remembered_max
        self._cached: dict[bytes, _Cached] = {}
        self._lookups: dict[bytes, asyncio.Task[ActiveKey | None]] = {}

    def known(self, secret: str) -> ActiveKey | None:
        """The key of a secret if it is cached and valid; None means that the database has to be asked."""
        found = self._cached.get(hash_of(secret))
        if found is None or found.until <= self._clock() or found.key.is_over(self._now()):
            return None
        return found.key

    async def look_up(self, secret: str) -> ActiveKey | None:
        """The key of a secret as the database has it now; None when there is none. Raises StoreUnavailable."""
        if len(secret) != _KEY_CHARACTERS or not secret.isascii():
            return None
        digest = hash_of(secret)
        asking = self._lookups.get(digest)
        if asking is None:
            asking = self._lookups[digest] = asyncio.create_task(self._ask(digest), name="look an API key up")
            asking.add_done_callback(lambda _: self._lookups.pop(digest, None))
        key = await asyncio.shield(asking)  # a client that disconnects must not cancel it for the others
        return None if key is None or key.is_over(self._now()) else key

    async def _ask(self, digest: bytes) -> ActiveKey | None:
        until = self._clock() + BELIEVED_S  # from before the query: a key revoked meanwhile is not cached for longer
        key = await self._database.run(lambda session: find_key(session, digest))
        self._cached.pop(digest, None)
        if key is not None:
            if len(self._cached) >= self._remembered_max:
                self._cached.pop(next(iter(self._cached)))
            self._cached[digest] = _Cached(key, until)
        return key


def new_secret() -> str:
    """A secret of 256 random bits, which the exchange does not know again: a key of it cannot sign."""
    return KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_of(secret: str) -> bytes:
    """The hash of a secret, which is all that is stored."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
