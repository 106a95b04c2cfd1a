"""Requests signed with an API key: the secret never travels.

`X-Signature` is the HMAC-SHA-256 under the key's secret, in hexadecimal, of five lines: the time (`X-Timestamp`, milliseconds since
1970), the method, the path with its query as sent, the `Idempotency-Key` or nothing, and the body. A path, a method and these header
fields contain no line break, so no two requests have the same text.

A request is accepted within 5 s of its time, by the clock of the exchange. One that may change something is accepted once: its signature
is noted in PostgreSQL first, for all API processes.
"""

import hmac
import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from aiohttp import web
from multidict import CIMultiDictProxy

from api.access.api_keys import new_secret
from api.access.idempotency import IDEMPOTENCY_KEY
from api.database import Database
from api.errors import Refusal
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import KEY_PREFIX
from schemas.units import Timestamp, format_timestamp
from store.session.connect import Session
from store.users.api_keys import find_nonce
from store.users.signing_secrets import SigningSecrets, new_nonce, signature_bytes, signature_of
from store.users.used_signatures import forget_signatures, use_signature

KEY_FIELD, TIME_FIELD, SIGNATURE_FIELD = "X-Api-Key", "X-Timestamp", "X-Signature"
FIELDS = (KEY_FIELD, TIME_FIELD, SIGNATURE_FIELD)
WINDOW_MS = 5_000
FORGOTTEN_AFTER_S = 60
"""Longer than the window, by more than the clocks of two API processes may differ."""
_READS = frozenset({"GET", "HEAD"})
_TIME = re.compile(r"[0-9]{1,15}")
_KEY_ID = re.compile(r"[1-9][0-9]{0,18}")


class Reason(StrEnum):
    """Why a signed request is refused: `details.reason` of UNAUTHENTICATED."""

    MALFORMED = "SIGNATURE_MALFORMED"
    AMBIGUOUS = "CREDENTIALS_AMBIGUOUS"
    OUTSIDE_WINDOW = "TIMESTAMP_OUTSIDE_WINDOW"
    WRONG = "SIGNATURE_WRONG"
    USED = "SIGNATURE_USED"


class Signed(NamedTuple):
    """What a client says of itself: the id of its key, its time, the signature, and what that covers after the time."""

    key_id: str
    time_ms: str
    signature: str
    rest: bytes
    is_read: bool


class SignedRequests:
    """Checks signatures. The nonces of keys are remembered; whether a key is still valid is asked elsewhere, at each request."""

    def __init__(
        self, database: Database, secrets: SigningSecrets, now: Callable[[], Timestamp], *, remembered_max: int = 10_000
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._now = now
        self._remembered_max = remembered_max
        self._nonces: dict[int, bytes] = {}
        self._forget_at = now()

    def new_key(self) -> tuple[str, bytes | None]:
        """The secret of a new key, and its nonce; without a key of the exchange a random secret, which cannot sign."""
        if not self._secrets.is_available:
            return new_secret(), None
        nonce = new_nonce()
        return KEY_PREFIX + self._secrets.secret_of(nonce), nonce

    async def secret_of(self, signed: Signed) -> str:
        """The secret that a request was signed with; `use` it then. Raises Refusal, or StoreUnavailable."""
        signature, time_ms = signature_bytes(signed.signature), _number(_TIME, signed.time_ms)
        key_id = _number(_KEY_ID, signed.key_id)
        if signature is None or time_ms is None or key_id is None:
            raise refused(
                Reason.MALFORMED, "a key id, a time in milliseconds and 64 small hexadecimal digits are needed"
            )
        self._check_time(time_ms)
        secret = await self._secret(key_id)
        text = signed.time_ms.encode() + b"\n" + signed.rest
        if secret is None or not hmac.compare_digest(signature_of(secret, text), signature):
            raise refused(Reason.WRONG, "no key that can sign has made this signature of this request")
        return secret

    async def use(self, signed: Signed) -> None:
        """Accept a signature that was checked; one that may change something only once. Raises Refusal, or StoreUnavailable."""
        signature = bytes.fromhex(signed.signature)
        if not signed.is_read and not await self._database.run(lambda session: self._use(session, signature)):
            message = "a request with this signature was accepted before: sign again, with the present time"
            raise refused(Reason.USED, message)

    def _check_time(self, time_ms: int) -> None:
        now = self._now()
        if abs(now // 1_000 - time_ms) > WINDOW_MS:
            details = {"exchangeTime": format_timestamp(now), "windowMs": WINDOW_MS}
            raise refused(Reason.OUTSIDE_WINDOW, "X-Timestamp differs too much from the time of the exchange", details)

    async def _secret(self, key_id: int) -> str | None:
        nonce = self._nonces.get(key_id)
        if nonce is None:
            nonce = await self._database.run(lambda session: find_nonce(session, key_id))
            if nonce is None or not self._secrets.is_available:
                return None
            if len(self._nonces) >= self._remembered_max:
                self._nonces.pop(next(iter(self._nonces)))
            self._nonces[key_id] = nonce
        return KEY_PREFIX + self._secrets.secret_of(nonce)

    async def _use(self, session: Session, signature: bytes) -> bool:
        now = self._now()
        if now >= self._forget_at:
            self._forget_at = Timestamp(now + FORGOTTEN_AFTER_S * 1_000_000)
            await forget_signatures(session, Timestamp(now - FORGOTTEN_AFTER_S * 1_000_000))
        return await use_signature(session, signature, now)


def is_signed(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a request claims to be signed."""
    return KEY_FIELD in headers or SIGNATURE_FIELD in headers


def signed_of(request: web.Request, body: bytes) -> Signed:
    """What the header of a signed request says; refuses fields that are missing or there twice, and two kinds of credentials."""
    headers = request.headers
    if "Authorization" in headers:
        raise refused(Reason.AMBIGUOUS, "a request is signed or has an Authorization, not both")
    named = [headers.getall(field, []) for field in FIELDS]
    if any(len(values) != 1 for values in named):
        raise refused(Reason.MALFORMED, f"a signed request has each of {', '.join(FIELDS)} once")
    [key_id], [time_ms], [signature] = named
    key = "\n".join(headers.getall(IDEMPOTENCY_KEY.name, []))
    lines = f"{request.method}\n{request.raw_path}\n{key}\n"
    return Signed(key_id, time_ms, signature, lines.encode("utf-8", "surrogateescape") + body, request.method in _READS)


def signed_handshake(key_id: str, time_ms: str, signature: str) -> Signed:
    """What `auth` on the socket says: as of `GET /ws`, but accepted once, for the connection can trade."""
    return Signed(key_id, time_ms, signature, b"GET\n/ws\n\n", is_read=False)


def refused(reason: Reason, message: str, details: dict[str, object] | None = None) -> Refusal:
    """401 with the reason."""
    return Refusal(ErrorCode.UNAUTHENTICATED, message, {"reason": reason, **(details or {})})


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    return int(text) if pattern.fullmatch(text) else None
