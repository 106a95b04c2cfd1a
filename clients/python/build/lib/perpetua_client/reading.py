"""Reads: repeated until there is an answer, lists followed to their end."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from perpetua_client.errors import Unavailable
from perpetua_client.transport import Answer, Patience, Transport
from perpetua_client.wire import plain

T = TypeVar("T")


class _Page(msgspec.Struct, rename="camel"):
    data: list[msgspec.Raw]
    next_cursor: str | None = None


class Reading:
    """GET requests of one client."""

    def __init__(self, transport: Transport, patience_s: float) -> None:
        self._transport = transport
        self._patience_s = patience_s

    async def get(self, path: str, *, after: str | None = None, **query: Any) -> Answer:
        """One answer; with `after`, one that includes the effect of this command. Raises Refusal or Unavailable."""
        headers = {} if after is None else {"X-Wait-For-Command": after}
        patience = Patience(self._patience_s)
        while True:
            answer = await self._transport.call("GET", path + query_of(query), headers=headers)
            if isinstance(answer, Answer):
                return answer
            if not await patience.again(answer):
                raise Unavailable(answer.why)

    async def read(self, kind: type[T], path: str, *, after: str | None = None, **query: Any) -> T:
        """One body."""
        return msgspec.json.decode((await self.get(path, after=after, **query)).body, type=kind)

    async def pages(self, kind: type[T], path: str, *, after: str | None = None, **query: Any) -> AsyncIterator[T]:
        """Every entry of a list, page by page."""
        cursor: str | None = None
        while True:
            answer = await self.get(path, after=after, **{"limit": 500, **query, "cursor": cursor})
            page = msgspec.json.decode(answer.body, type=_Page)
            for entry in page.data:
                yield msgspec.json.decode(entry, type=kind)
            if (cursor := page.next_cursor) is None:
                return


def query_of(query: dict[str, Any]) -> str:
    """The query string; what is None is left out. `from_` is `from`, `market_id` is `marketId`."""
    named = {_camel(name): plain(value) for name, value in query.items() if value is not None}
    texts = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in named.items()}
    return "?" + urlencode(texts) if texts else ""


def _camel(name: str) -> str:
    first, *others = name.rstrip("_").split("_")
    return first + "".join(other.title() for other in others)
