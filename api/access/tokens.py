"""Bearer tokens: JSON web tokens signed with HS256, issued at login and checked at every call."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import jwt

from schemas.units import Timestamp

ALGORITHM = "HS256"
REQUIRED_CLAIMS = ["exp", "iat", "sub", "iss", "aud"]
"""PyJWT accepts a token without `exp` unless the claims are required by name."""
LEEWAY_S = 10
"""How far ahead `iat` and `nbf` may lie: the clocks of two API processes are not exactly equal."""
TOKEN_CHARACTERS_MAX = 2_048
_USER_MAX = 2**63 - 1
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class VerifiedToken(NamedTuple):
    """Whom a token names, and from when until when it is valid."""

    user: int
    expires_at_s: int
    begins_at_s: int


class Tokens:
    """Issues and verifies tokens; verified tokens are cached, by hash, until they expire.

    `now` is the time that tokens are issued at and expire by, `latest` the one that decides whether a token is too new: the two
    differ while the clock of this process is wrong, so that no valid token is refused for it.
    """

    def __init__(
        self,
        secret: str,
        now: Callable[[], Timestamp],
        *,
        latest: Callable[[], Timestamp] | None = None,
        issuer: str = "perpetua",
        audience: str = "perpetua-api",
        previous_secret: str = "",
        lifetime_s: int = 12 * 3600,
        remembered_max: int = 20_000,
    ) -> None:
        self._secret = secret
        self._accepted = (secret, previous_secret) if previous_secret else (secret,)
        self._now, self._latest = now, latest or now
        self._issuer = issuer
        self._audience = audience
        self._lifetime_s = lifetime_s
        self._remembered_max = remembered_max
        self._remembered: dict[bytes, VerifiedToken] = {}

    def issue(self, user: int) -> str:
        """A token that names the user, valid from now for `lifetime_s`."""
        now_s = self._now_s()
        claims = {
            "sub": str(user),
            "iat": now_s,
            "exp": now_s + self._lifetime_s,
            "iss": self._issuer,
            "aud": self._audience,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def user_of(self, token: str) -> int | None:
        """The user that a valid token names; None for any other token."""
        verified = self.verified(token)
        return None if verified is None else verified.user

    def verified(self, token: str) -> VerifiedToken | None:
        """What a valid token says; None for any other token."""
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            return None
        digest = blake2b(token.encode(), digest_size=32).digest()
        verified = self._remembered.get(digest)
        if verified is None:
            verified = self._verify(token)
            if verified is None or verified.begins_at_s > self._latest() // 1_000_000 + LEEWAY_S:
                return None
            self._remember(digest, verified)
        if verified.expires_at_s <= self._now_s():
            self._remembered.pop(digest, None)
            return None
        return verified

    def _verify(self, token: str) -> VerifiedToken | None:
        """Verify with the current secret, then with the previous one: rotating the secret logs nobody out."""
        for secret in self._accepted:
            if verified := self._verify_by(secret, token):
                return verified
        return None

    def _verify_by(self, secret: str, token: str) -> VerifiedToken | None:
        try:
            claims = jwt.decode(
                token,
                secret,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": REQUIRED_CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except _MALFORMED:
            return None
        return _verified_of(claims)

    def _remember(self, digest: bytes, verified: VerifiedToken) -> None:
        if len(self._remembered) >= self._remembered_max:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[digest] = verified

    def _now_s(self) -> int:
        return self._now() // 1_000_000


def _verified_of(claims: dict[str, Any]) -> VerifiedToken | None:
    subject, expires_at, issued_at = claims["sub"], claims["exp"], claims["iat"]
    begins_at = claims.get("nbf", issued_at)
    if not isinstance(subject, str) or len(subject) > 19:
        return None
    if not all(type(moment) is int for moment in (expires_at, issued_at, begins_at)):  # neither a float nor a boolean
        return None
    if not (subject.isascii() and subject.isdigit()) or subject[0] == "0" or int(subject) > _USER_MAX:
        return None
    return VerifiedToken(int(subject), expires_at, max(issued_at, begins_at))
