"""A demo user's client of the public REST API."""

from typing import Any

import aiohttp


class Client:
    """One user's requests."""

    def __init__(self, session: aiohttp.ClientSession, token: str) -> None:
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str) -> Any:
        """The answer to a query."""
        async with self._session.get(path, headers=self._headers) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Send a request. Refusals (margin, status) are ignored; the next round tries again."""
        async with self._session.post(path, json=body, headers=self._headers) as answer:
            if answer.status >= 500:
                answer.raise_for_status()

    async def delete(self, path: str) -> None:
        """Cancel something; it does not matter if it is already gone."""
        async with self._session.delete(path, headers=self._headers) as answer:
            if answer.status >= 500:
                answer.raise_for_status()
