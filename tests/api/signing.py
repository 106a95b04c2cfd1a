"""Requests signed as docs/rest.md says, and spoilt in the ways of an attacker."""

import hmac
import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from multidict import CIMultiDict
from yarl import URL

from tests.api.exchange import Client, Reply

Fields = dict[str, str]


def signature(secret: str, time_ms: int, method: str, path: str, *, body: bytes = b"", key: str = "") -> str:
    """The HMAC of the five lines."""
    text = f"{time_ms}\n{method}\n{path}\n{key}\n".encode() + body
    return hmac.digest(secret.encode(), text, "sha256").hex()


def now_ms() -> int:
    """The machine's time."""
    return time.time_ns() // 1_000_000


@dataclass
class Signer:
    """A program with a key; it never sends the secret."""

    client: Client
    key_id: str
    secret: str

    def fields(self, method: str, path: str, body: bytes = b"", *, at_ms: int | None = None, key: str = "") -> Fields:
        """The header of one request."""
        time_ms = now_ms() if at_ms is None else at_ms
        signed = signature(self.secret, time_ms, method, path, body=body, key=key)
        return {"X-Api-Key": self.key_id, "X-Timestamp": str(time_ms), "X-Signature": signed}

    async def call(self, method: str, path: str, body: Any = None, *, key: str = "", **changes: str) -> Reply:
        """One request; `changes` replace fields of its header, by their names in small letters."""
        raw = b"" if body is None else msgspec.json.encode(body)
        fields = self.fields(method, path, raw, key=key) | ({"Idempotency-Key": key} if key else {})
        return await self.send(method, path, raw, {**fields, **{f"X-{name}": value for name, value in changes.items()}})

    async def send(self, method: str, path: str, raw: bytes, fields: Fields | list[tuple[str, str]]) -> Reply:
        """A request as it is."""
        headers = CIMultiDict(fields)
        if raw:
            headers.setdefault("Content-Type", "application/json")
        url = URL(self.client.url + path, encoded=True)
        async with self.client.session.request(method, url, headers=headers, data=raw or None) as answer:
            return Reply(answer.status, answer.headers, await answer.json())


async def signer_of(user: Client, *scopes: str, **fields: Any) -> Signer:
    """A new key of the user's, used without sending its secret."""
    body = {"label": "signer", "scopes": list(scopes or ("read", "trade", "withdraw")), **fields}
    made = await user.call("POST", "/api-keys", body)
    assert made.status == 201, made.body
    return Signer(replace(user, token=None), made.body["key"]["keyId"], made.body["secret"])
