"""API keys at the door: whose key it is, looked up by its hash and believed for a second.

A key's secret is 32 random bytes. What is kept is its SHA-256: there is nothing to guess, so nothing slow is needed, and
the look-up by hash tells an attacker no more than that the hash of what he sent is not there.
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
"""How long a look-up is believed: a key that is revoked in one process opens nothing in any other after this."""
_SECRET_BYTES = 32
_KEY_CHARACTERS = len(KEY_PREFIX) + 43


class _Believed(NamedTuple):
    key: ActiveKey
    until: float


class ApiKeys:
    """The keys that this process has seen of late. Each is asked for once at a time, however many requests carry it."""

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
        self._believed: dict[bytes, _Believed] = {}
        self._asked: dict[bytes, asyncio.Task[ActiveKey | None]] = {}

    def known(self, secret: str) -> ActiveKey | None:
        """The key of a secret as far as it is known without asking, and believed still."""
        found = self._believed.get(hash_of(secret))
        if found is None or found.until <= self._clock() or found.key.is_over(self._now()):
            return None
        return found.key

    async def look_up(self, secret: str) -> ActiveKey | None:
        """The key of a secret, as the database says now; None for every other word. Raises StoreUnavailable."""
        if len(secret) != _KEY_CHARACTERS or not secret.isascii():
            return None
        digest = hash_of(secret)
        asking = self._asked.get(digest)
        if asking is None:
            asking = self._asked[digest] = asyncio.create_task(self._ask(digest), name="look an API key up")
            asking.add_done_callback(lambda _: self._asked.pop(digest, None))
        key = await asyncio.shield(asking)  # a client that leaves must not take the answer from the others
        return None if key is None or key.is_over(self._now()) else key

    async def _ask(self, digest: bytes) -> ActiveKey | None:
        until = self._clock() + BELIEVED_S  # from before the question: what is revoked meanwhile is not believed longer
        key = await self._database.run(lambda session: find_key(session, digest))
        self._believed.pop(digest, None)
        if key is not None:
            if len(self._believed) >= self._remembered_max:
                self._believed.pop(next(iter(self._believed)))
            self._believed[digest] = _Believed(key, until)
        return key


def new_secret() -> str:
    """A secret that nobody has: the prefix and 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_of(secret: str) -> bytes:
    """What of a secret is stored."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
