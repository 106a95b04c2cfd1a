"""Bearer tokens: JSON web tokens signed with HS256, issued at login and checked at every call."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import jwt

from schemas.units import Timestamp
from store.users.logins import TOKEN_LIFETIME_S

ALGORITHM = "HS256"
REQUIRED_CLAIMS = ["exp", "iat", "sub", "iss", "aud"]
"""PyJWT accepts a token without `exp` unless the claims are required by name."""
LEEWAY_S = 10
"""How far ahead `iat` and `nbf` may lie: the clocks of two API processes are not exactly equal."""
TOKEN_CHARACTERS_MAX = 2_048
_ID_MAX = 2**63 - 1
_ID_DIGITS_MAX = 19
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class VerifiedToken(NamedTuple):
    """Whom a token names, from when until when it is valid, and the login that it came from.

    Without a login, as the release before issued it, `login` is minus the user: such tokens of a user can only be ended together.
    """

    user: int
    expires_at_s: int
    begins_at_s: int
    login: int


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
        lifetime_s: int = TOKEN_LIFETIME_S,
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

    def issue(self, user: int, login: int | None = None, at: Timestamp | None = None) -> str:
        """A token that names the user and the login, valid from that time, or now, for `lifetime_s`."""
        issued_at_s = (self._now() if at is None else at) // 1_000_000
        claims = {
            "sub": str(user),
            "iat": issued_at_s,
            "exp": issued_at_s + self._lifetime_s,
            "iss": self._issuer,
            "aud": self._audience,
        }
        return jwt.encode(claims if login is None else claims | {"jti": str(login)}, self._secret, algorithm=ALGORITHM)

    def verified(self, token: str) -> VerifiedToken | None:
        """What a valid token says; None for any other token. Whether its login has ended, api.access.logins knows."""
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
    expires_at, issued_at = claims["exp"], claims["iat"]
    begins_at = claims.get("nbf", issued_at)
    if not all(type(moment) is int for moment in (expires_at, issued_at, begins_at)):  # neither a float nor a boolean
        return None
    user = _id_of(claims["sub"])
    login = _id_of(claims["jti"]) if "jti" in claims else user and -user
    if user is None or login is None:
        return None
    return VerifiedToken(user, expires_at, max(issued_at, begins_at), login)


def _id_of(text: Any) -> int | None:
    """The id that a claim names; None for what is no id."""
    if not isinstance(text, str) or len(text) > _ID_DIGITS_MAX or not (text.isascii() and text.isdigit()):
        return None
    return int(text) if text[0] != "0" and int(text) <= _ID_MAX else None
