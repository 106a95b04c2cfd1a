"""One call over HTTP, with what is known about its outcome."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import aiohttp
from yarl import URL

from perpetua_client.credentials import Credentials
from perpetua_client.errors import RateLimited, Refusal, refusal_of
from perpetua_client.pace import Pace
from perpetua_client.wire import encoded

_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_ENDED = (aiohttp.ClientError, OSError, TimeoutError)


class Outcome(StrEnum):
    """What became of a call that got no final answer."""

    NOT_DONE = "not done"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """A success: its status, the fields that the client reads, and the body."""

    status: int
    command_id: str | None
    is_replay: bool
    next_link: str | None
    body: bytes


@dataclass(frozen=True)
class NoAnswer:
    """No final answer: the call may be sent again after `wait_s`."""

    outcome: Outcome
    why: str
    wait_s: float = 0.1


class Transport:
    """Connections to one exchange."""

    def __init__(self, url: str, credentials: Credentials | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.credentials = credentials
        self.pace = Pace()
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._session is None:
            raise RuntimeError("use `async with Client(…)`")
        return self._session

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer | NoAnswer:
        """One request. Raises Refusal for a final answer that is no success."""
        sent = b"" if body is None else encoded(body)
        kind = f"{method} {path.split('?', maxsplit=1)[0].split('/')[1]}"
        await self.pace.wait(kind)
        try:
            async with self.session.request(
                method,
                URL(self.url + path, encoded=True),
                data=sent or None,
                headers=self._headers(method, path, sent, headers or {}),
                timeout=self._timeout,
            ) as response:
                received = await response.read()
        except _NOT_SENT as error:
            return NoAnswer(Outcome.NOT_DONE, repr(error))
        except _ENDED as error:
            return NoAnswer(Outcome.UNKNOWN, repr(error))
        self.pace.note(kind, response.headers.get("RateLimit"))
        return self._judged(kind, response, received)

    def _headers(self, method: str, path: str, body: bytes, given: Mapping[str, str]) -> dict[str, str]:
        own = {**given, **({"Content-Type": "application/json"} if body else {})}
        if self.credentials is None:
            return own
        return own | self.credentials.headers(method, path, body, given.get("Idempotency-Key", ""))

    def _judged(self, kind: str, response: aiohttp.ClientResponse, body: bytes) -> Answer | NoAnswer:
        fields = response.headers
        if response.status < 300:
            is_replay = fields.get("Idempotent-Replayed") == "true"
            following = str(response.links["next"]["url"]) if "next" in response.links else None
            return Answer(response.status, fields.get("X-Command-Id"), is_replay, following, body)
        refusal = refusal_of(response.status, body, fields.get("Retry-After"))
        outcome = outcome_of(refusal)
        if outcome is None:
            raise refusal
        wait_s = float(fields.get("Retry-After", "0.1"))
        if isinstance(refusal, RateLimited):
            self.pace.refused(kind, wait_s)
        return NoAnswer(outcome, str(refusal), wait_s)


def outcome_of(refusal: Refusal) -> Outcome | None:
    """What an error says about the call; None: it is final."""
    if refusal.code in ("RATE_LIMITED", "OVERLOADED", "NOT_YET"):
        return Outcome.NOT_DONE
    return Outcome.UNKNOWN if refusal.status >= 500 else None  # a 5xx of the exchange or of a proxy before it


class Patience:
    """How long a call is repeated."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    async def again(self, failed: NoAnswer) -> bool:
        """Wait before the next try; False when there is no time for one."""
        if time.monotonic() + failed.wait_s > self._until:
            return False
        await asyncio.sleep(failed.wait_s)
        return True
