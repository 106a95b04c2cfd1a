"""A network that loses replies: the API has executed the request, but its client gets no answer."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

BLOCK_BYTES = 65_536


@dataclass
class ReplyCutter:
    """Passes requests on and cuts the connection at `share` of the replies; counts those."""

    url: str
    share: float
    chance: random.Random
    cut: int = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client and one to the API, until either is gone or a reply is cut."""
        there = urlsplit(self.url)
        replies, requests = await asyncio.open_connection(there.hostname, there.port)
        forth = asyncio.create_task(_pass_on(reader, requests))
        try:
            await self._pass_back(replies, writer)
        finally:
            forth.cancel()
            for end in (writer, requests):
                end.transport.abort()

    async def _pass_back(self, replies: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while block := await replies.read(BLOCK_BYTES):
                if self.chance.random() < self.share:
                    self.cut += 1
                    writer.write(block[: self.chance.randrange(len(block))])
                    return
                writer.write(block)
                await writer.drain()


@asynccontextmanager
async def cutting_replies(url: str, share: float) -> AsyncIterator[tuple[str, ReplyCutter]]:
    """Address of the bad network in front of `url`, and what it has cut; each reply of ours is one block."""
    cutter = ReplyCutter(url, share, random.Random(15))  # noqa: S311 - the same losses on every run
    server = await asyncio.start_server(cutter.connect, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cutter


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    writer.close()  # the client has left
