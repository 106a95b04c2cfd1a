"""Passwords as argon2id hashes, computed in a small thread pool so that the event loop never blocks."""

import os
import unicodedata
from base64 import b64encode

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from api.bounded_threads import BoundedThreads

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
"""The minimum of OWASP's password storage cheat sheet for argon2id: m=19 MiB, t=2, p=1."""
SALT_BYTES = 16
HASH_BYTES = 32
_TOO_MANY = "too many registrations and logins are waiting; try again shortly"


class Passwords:
    """Hashes and checks passwords; at most `waiting_max` requests wait, and every check costs the same."""

    def __init__(self, threads: int = 2, waiting_max: int = 64) -> None:
        self._hasher = PasswordHasher(
            time_cost=PASSES,
            memory_cost=MEMORY_KIB,
            parallelism=LANES,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
            type=Type.ID,
        )
        self._threads = BoundedThreads("argon2", _TOO_MANY, threads=threads, waiting_max=waiting_max)
        self._nobody = _hash_of_nobody()

    async def hash(self, password: str) -> str:
        """The argon2id hash to store, of the composed form (NFC), since keyboards differ."""
        return await self._threads.run(self._hasher.hash, unicodedata.normalize("NFC", password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one, composed or decomposed: earlier releases stored it as it was typed.

        For an unknown user (None) the same work is done, and the result is False.
        """
        return await self._threads.run(self._check, stored or self._nobody, password) and stored is not None

    def close(self) -> None:
        """Stop the threads; waiting work is dropped."""
        self._threads.close()

    def _check(self, stored: str, password: str) -> bool:
        return any(self._verifies(stored, form) for form in _forms_of(password))

    def _verifies(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _hash_of_nobody() -> str:
    """Random bytes in the form of a stored hash: checking a password costs the same, and none matches."""
    salt, digest = (b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (SALT_BYTES, HASH_BYTES))
    return f"$argon2id$v={ARGON2_VERSION}$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${digest}"


def _forms_of(password: str) -> list[str]:
    """Composed, as typed, and decomposed: one form for a password in ASCII."""
    forms = (unicodedata.normalize("NFC", password), password, unicodedata.normalize("NFD", password))
    return list(dict.fromkeys(forms))
