"""The second factor of a login: enrolled, confirmed, checked and removed.

A decision about a code holds the lock of its row: of two requests with one code, one is accepted.
"""

import logging
import secrets
from typing import Any

from schemas.refusals import ErrorCode, Refused
from schemas.units import Timestamp, datetime_of, timestamp_of
from store.session.connect import Session
from store.users.totp_secrets import (
    NONCE_BYTES,
    Enrolment,
    TotpSecrets,
    is_of_app,
    new_recovery_codes,
    plain,
)

FREE_FAILURES = 5
"""So many wrong codes in a row cost nothing; then each doubles the wait for the next try."""
FIRST_WAIT_S, WAIT_MAX_S = 30, 3_600
_ENROL = """
INSERT INTO totp (user_id, nonce, key_id, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET nonce = EXCLUDED.nonce, key_id = EXCLUDED.key_id, created_at = EXCLUDED.created_at,
  last_step = 0
WHERE totp.confirmed_at IS NULL
RETURNING (SELECT email FROM users WHERE user_id = $1)
"""
_LOCK = "SELECT * FROM totp WHERE user_id = $1 FOR NO KEY UPDATE"
_ACCEPT = "UPDATE totp SET last_step = $2, failures = 0 WHERE user_id = $1"
_FAIL = "UPDATE totp SET failures = failures + 1, failed_at = $2 WHERE user_id = $1"
_CONFIRM = "UPDATE totp SET confirmed_at = $2 WHERE user_id = $1"
_KEEP = "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])"
_USE = """
UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL RETURNING 1
"""
_REMOVE = "DELETE FROM totp WHERE user_id = $1 RETURNING 1"

log = logging.getLogger(__name__)


async def enrol(session: Session, user: int, secrets_: TotpSecrets, at: Timestamp) -> tuple[Enrolment, str] | Refused:
    """A new secret, not in force before it is confirmed, and the user's e-mail address. Refused: TOTP_ENABLED."""
    enrolment = Enrolment(user, secrets.token_bytes(NONCE_BYTES))
    email = await session.fetchval(_ENROL, user, enrolment.nonce, secrets_.key_id, datetime_of(at))
    return _enabled() if email is None else (enrolment, email)


async def confirm(session: Session, user: int, code: str, keys: TotpSecrets, at: Timestamp) -> list[str] | Refused:
    """Put the enrolled secret in force; returns the recovery codes. The code is used with it.

    Refused: NOT_FOUND (nothing is enrolled), TOTP_ENABLED, UNAUTHENTICATED, RATE_LIMITED.
    """
    async with session.transaction():
        row = await session.fetchrow(_LOCK, user)
        if row is None:
            return _none_enrolled()
        if row["confirmed_at"] is not None:
            return _enabled()
        if (refused := await _check_app_code(session, row, plain(code), keys, at)) is not None:
            return refused
        codes = new_recovery_codes()
        hashes = [keys.recovery_hash(_enrolment(row), plain(each)) for each in codes]
        await session.execute(_CONFIRM, user, datetime_of(at))
        await session.execute(_KEEP, user, hashes)
        return codes


async def remove(session: Session, user: int, code: str, keys: TotpSecrets, at: Timestamp) -> Refused | None:
    """Remove the second factor with one of its codes. Refused: NOT_FOUND, UNAUTHENTICATED, RATE_LIMITED."""
    async with session.transaction():
        row = await session.fetchrow(_LOCK, user)
        if row is None or row["confirmed_at"] is None:
            return _none_enrolled()
        if (refused := await _check(session, row, plain(code), keys, at)) is not None:
            return refused
        await session.execute(_REMOVE, user)
        return None


async def reset(session: Session, user: int) -> bool:
    """Remove a user's second factor without a code, as an operator; False where there is none."""
    return await session.fetchval(_REMOVE, user) is not None


async def check_code(session: Session, user: int, code: str | None, keys: TotpSecrets, at: Timestamp) -> Refused | None:
    """None where the user may go on: without TOTP, or with a code, which then counts no more.

    In the caller's transaction, which commits a refusal too: it counts failures. Refused: UNAUTHENTICATED with
    `details.reason`, RATE_LIMITED, UNAVAILABLE.
    """
    row = await session.fetchrow(_LOCK, user)
    if row is None or row["confirmed_at"] is None:
        return None
    if code is None:
        return _unauthenticated("TOTP_REQUIRED", "a code of your authenticator app is required")
    return await _check(session, row, plain(code), keys, at)


async def _check(session: Session, row: Any, code: str, keys: TotpSecrets, at: Timestamp) -> Refused | None:
    """A recovery code has too many bits to be guessed, so it is accepted also while codes of the app have to wait."""
    if is_of_app(code):
        return await _check_app_code(session, row, code, keys, at)
    if row["key_id"] != keys.key_id:
        return _other_key(row)
    digest = keys.recovery_hash(_enrolment(row), code)
    if await session.fetchval(_USE, row["user_id"], digest, datetime_of(at)) is None:
        return _invalid()
    await session.execute(_ACCEPT, row["user_id"], row["last_step"])
    return None


async def _check_app_code(session: Session, row: Any, code: str, keys: TotpSecrets, at: Timestamp) -> Refused | None:
    if row["key_id"] != keys.key_id:
        return _other_key(row)
    if (wait_s := _wait_s(row, at)) > 0:
        details: dict[str, str | int | bool | list[str] | None] = {"limit": "totp", "retryAfterSeconds": wait_s}
        return Refused(ErrorCode.RATE_LIMITED, "too many wrong codes; wait, or use a recovery code", details)
    step = keys.step_of(_enrolment(row), code, at)
    if step is None or step <= row["last_step"]:
        await session.execute(_FAIL, row["user_id"], datetime_of(at))
        return _invalid()
    await session.execute(_ACCEPT, row["user_id"], step)
    return None


def _wait_s(row: Any, at: Timestamp) -> int:
    """Seconds until the next code may be tried, rounded up."""
    if row["failures"] < FREE_FAILURES:
        return 0
    wait_s: int = min(WAIT_MAX_S, FIRST_WAIT_S << min(row["failures"] - FREE_FAILURES, 16))
    return -((at - timestamp_of(row["failed_at"]) - wait_s * 1_000_000) // 1_000_000)


def _enrolment(row: Any) -> Enrolment:
    return Enrolment(row["user_id"], row["nonce"])


def _unauthenticated(reason: str, message: str) -> Refused:
    return Refused(ErrorCode.UNAUTHENTICATED, message, {"reason": reason})


def _invalid() -> Refused:
    return _unauthenticated("TOTP_INVALID", "the code is wrong, or was used: wait for the next one")


def _none_enrolled() -> Refused:
    return Refused(ErrorCode.NOT_FOUND, "there is no TOTP: enrol first")


def _enabled() -> Refused:
    return Refused(ErrorCode.TOTP_ENABLED, "TOTP is enabled already: remove it with a code first")


def _other_key(row: Any) -> Refused:
    log.error("user %s enrolled TOTP under another TOTP_KEY than this process has", row["user_id"])
    return Refused(ErrorCode.UNAVAILABLE, "codes cannot be checked at the moment; nothing was stored")
