"""How a call says whose it is."""

import hmac
import time
from typing import Any, Protocol


class Credentials(Protocol):
    """Makes the headers of a call, and the fields of `auth` on the socket."""

    def headers(self, method: str, path: str, body: bytes, idempotency_key: str = "") -> dict[str, str]:
        """The headers of one request; `path` has its query."""
        ...

    def auth(self) -> dict[str, Any]:
        """The fields of `auth`."""
        ...


class Bearer:
    """The token of a login, or the secret of an API key, sent with each call."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, method: str, path: str, body: bytes, idempotency_key: str = "") -> dict[str, str]:  # noqa: ARG002 - as the protocol says
        """`Authorization: Bearer …`."""
        return {"Authorization": f"Bearer {self._token}"}

    def auth(self) -> dict[str, Any]:
        """The token."""
        return {"token": self._token}


class Signer:
    """An API key that signs each request; its secret stays here. The clock must be right within 5 s."""

    def __init__(self, key_id: str, secret: str) -> None:
        self._key_id = key_id
        self._secret = secret.encode()
        self._last_ms = 0

    def headers(self, method: str, path: str, body: bytes, idempotency_key: str = "") -> dict[str, str]:
        """`X-Api-Key`, `X-Timestamp` and `X-Signature`."""
        time_ms = self._now_ms()
        text = f"{time_ms}\n{method}\n{path}\n{idempotency_key}\n".encode() + body
        signature = hmac.digest(self._secret, text, "sha256").hex()
        return {"X-Api-Key": self._key_id, "X-Timestamp": str(time_ms), "X-Signature": signature}

    def auth(self) -> dict[str, Any]:
        """The same of the handshake."""
        signed = self.headers("GET", "/ws", b"")
        return {"apiKey": self._key_id, "timestamp": signed["X-Timestamp"], "signature": signed["X-Signature"]}

    def _now_ms(self) -> int:
        """The time; never twice the same, for two equal requests would have one signature."""
        self._last_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        return self._last_ms
