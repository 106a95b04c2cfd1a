"""The secrets of API keys that can sign requests, and their signatures. Pure.

A secret is derived from a key that only the API has, and a random nonce that is stored with the API key. So the database alone neither
holds a secret nor can it make a signature; and since the exchange can derive the secret again, a client need never send it.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

NONCE_BYTES = 32
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class SigningSecrets:
    """The secrets of all keys under one key of the exchange; an empty one: API keys cannot sign."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @property
    def is_available(self) -> bool:
        """Whether new keys can sign."""
        return bool(self._key)

    def secret_of(self, nonce: bytes) -> str:
        """The 256 bits of a secret in base 64, without its prefix."""
        digest = hmac.digest(self._key, b"api key secret " + nonce, sha256)
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_nonce() -> bytes:
    """Random, so that no key ever gets the secret of another, not even in a restored database."""
    return secrets.token_bytes(NONCE_BYTES)


def signature_of(secret: str, signed: bytes) -> bytes:
    """HMAC-SHA-256 under the secret as its text."""
    return hmac.digest(secret.encode(), signed, sha256)


def signature_bytes(text: str) -> bytes | None:
    """A signature from its only valid form, 64 small hexadecimal digits: each has one text."""
    return bytes.fromhex(text) if _SIGNATURE.fullmatch(text) else None
