"""A demo user's client of the public REST API."""

from typing import Any

import aiohttp
import msgspec

TOO_MANY = 429
UNAUTHENTICATED = 401


class Credential(msgspec.Struct, frozen=True):
    """What a person types to log in."""

    email: str
    password: str


class Client:
    """One user's requests. It logs in with the first one, and again when its token is no longer accepted."""

    def __init__(self, session: aiohttp.ClientSession, credential: Credential) -> None:
        self._session = session
        self._credential = credential
        self._token = ""

    async def get(self, path: str) -> Any:
        """The answer to a query."""
        return await self._send("GET", path, None, is_query=True)

    async def post(self, path: str, body: dict[str, Any], key: str | None = None) -> None:
        """Send a request, with an `Idempotency-Key` if given. Refusals (margin, status) are ignored; the next round tries again."""
        await self._send("POST", path, body, {} if key is None else {"Idempotency-Key": key})

    async def delete(self, path: str) -> None:
        """Cancel something; it does not matter if it is already gone."""
        await self._send("DELETE", path, None)

    async def register(self) -> None:
        """Create the user; one that exists is left as it is."""
        async with self._session.post("/auth/register", json=msgspec.to_builtins(self._credential)) as answer:
            if answer.status != 409:
                answer.raise_for_status()

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        headers: dict[str, str] | None = None,
        *,
        is_query: bool = False,
    ) -> Any:
        """Raises aiohttp.ClientResponseError for an outage and for a rate limit, of a query for every refusal."""
        for is_last in (False, True):
            token = self._token or await self._log_in()
            sent = {"Authorization": f"Bearer {token}", **(headers or {})}
            async with self._session.request(method, path, json=body, headers=sent) as answer:
                if answer.status == UNAUTHENTICATED and not is_last:
                    self._token = ""
                    continue
                if is_query or answer.status >= 500 or answer.status in {UNAUTHENTICATED, TOO_MANY}:
                    answer.raise_for_status()
                return await answer.json()
        return None

    async def _log_in(self) -> str:
        async with self._session.post("/auth/login", json=msgspec.to_builtins(self._credential)) as answer:
            answer.raise_for_status()
            self._token = str((await answer.json())["token"])
        return self._token
