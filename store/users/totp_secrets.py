"""The arithmetic of TOTP (RFC 6238): secrets, codes and recovery codes. Pure.

A secret is derived from a key that only the API has, the user and a nonce (RFC 4226, section 7.5), so the database holds none.
"""

import hmac
import secrets
from base64 import b32encode
from hashlib import blake2b, sha256
from typing import NamedTuple

import pyotp
from pyotp.exceptions import OTPVerificationError

from schemas.units import Timestamp

NONCE_BYTES = 20
SECRET_BYTES = 20
SKEW_STEPS = 1
"""A code of the step before or after is accepted too: clocks differ, and typing takes time."""
RECOVERY_CODES = 10
_RECOVERY_CHARACTERS = 16
_ISSUER = "Perpetua"


class Enrolment(NamedTuple):
    """What makes a user's secret: public but for the key."""

    user: int
    nonce: bytes


class TotpSecrets:
    """The secrets of all users under one key, which is empty where TOTP is not available."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self.key_id = blake2b(self._key, digest_size=8, person=b"totp key id").digest()

    @property
    def is_available(self) -> bool:
        """Whether there is a key; without one nobody can enrol."""
        return bool(self._key)

    def secret_of(self, enrolment: Enrolment) -> str:
        """The secret in base 32, as an authenticator app takes it."""
        message = b"totp secret %d %s" % enrolment
        return b32encode(hmac.digest(self._key, message, sha256)[:SECRET_BYTES]).decode()

    def uri_of(self, enrolment: Enrolment, email: str) -> str:
        """The `otpauth` URI that an app reads from a QR code."""
        return pyotp.TOTP(self.secret_of(enrolment)).provisioning_uri(name=email, issuer_name=_ISSUER)

    def step_of(self, enrolment: Enrolment, code: str, at: Timestamp) -> int | None:
        """The time step that a code is of, if it is one of the accepted ones."""
        totp = pyotp.TOTP(self.secret_of(enrolment))
        try:
            return totp.verify_and_get_timecode(code, for_time=at // 1_000_000, valid_window=SKEW_STEPS)
        except OTPVerificationError:
            return None

    def recovery_hash(self, enrolment: Enrolment, code: str) -> bytes:
        """A keyed hash of a recovery code: without the key, nobody who reads it can try codes."""
        return hmac.digest(self.secret_of(enrolment).encode(), b"recovery code " + code.encode(), sha256)


def is_of_app(code: str) -> bool:
    """Whether a plain code is one of an app: six digits. Recovery codes are longer."""
    return len(code) == 6 and code.isascii() and code.isdigit()


def plain(code: str) -> str:
    """A code without the spaces, hyphens and small letters that people type."""
    return code.replace(" ", "").replace("-", "").upper()


def new_recovery_codes() -> list[str]:
    """Codes of 80 random bits, in groups of four characters."""
    return [_grouped(b32encode(secrets.token_bytes(10)).decode()) for _ in range(RECOVERY_CODES)]


def _grouped(code: str) -> str:
    assert len(code) == _RECOVERY_CHARACTERS  # noqa: S101 - ten bytes in base 32
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
