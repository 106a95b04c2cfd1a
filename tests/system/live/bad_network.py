"""A network between clients and an API that cuts connections: at once, in the middle of an answer, or in the middle of a request."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.eventually import eventually

BLOCK_BYTES = 65_536
AT_ONCE, IN_AN_ANSWER, IN_A_REQUEST = "at once", "in an answer", "in a request"


@dataclass(eq=False)
class Link:
    """One connection through the network."""

    client: asyncio.StreamWriter
    api: asyncio.StreamWriter
    cut_next: str = ""

    def end(self, *, is_reset: bool) -> None:
        """Both sides see a reset, or an end without a closing handshake."""
        for writer in (self.client, self.api):
            if is_reset:
                writer.transport.abort()
            else:
                writer.close()


@dataclass
class BadNetwork:
    """Passes bytes on, and cuts when asked; `cuts` counts what has happened."""

    api_url: str
    chance: random.Random
    url: str = ""
    cuts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((AT_ONCE, IN_AN_ANSWER, IN_A_REQUEST), 0))
    links: list[Link] = field(default_factory=list)
    is_over: bool = False

    def cut_one(self) -> None:
        """Cut a connection at once, or have its next block of one direction end within a frame."""
        waiting = [link for link in self.links if not link.cut_next]
        if not waiting:
            return
        link = self.chance.choice(waiting)
        link.cut_next = self.chance.choice((AT_ONCE, IN_AN_ANSWER, IN_A_REQUEST))
        if link.cut_next == AT_ONCE:
            self._cut(link)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client and one to the API, until either is gone or it is cut."""
        there = urlsplit(self.api_url)
        try:
            answers, requests = await asyncio.open_connection(there.hostname, there.port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, requests)
        self.links.append(link)
        if self.is_over:
            link.end(is_reset=True)
        forth = asyncio.create_task(self._pass_on(link, reader, requests, IN_A_REQUEST))
        back = asyncio.create_task(self._pass_on(link, answers, writer, IN_AN_ANSWER))
        await asyncio.wait([forth, back], return_when=asyncio.FIRST_COMPLETED)
        for pump in (forth, back):
            pump.cancel()
        link.end(is_reset=self.chance.random() < 0.5)
        await asyncio.gather(forth, back, return_exceptions=True)
        self.links.remove(link)

    async def _pass_on(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str
    ) -> None:
        with suppress(ConnectionError):
            while block := await reader.read(BLOCK_BYTES):
                if link.cut_next == direction:
                    writer.write(block[: self.chance.randrange(len(block))])
                    self.cuts[direction] += 1
                    return
                writer.write(block)
                await writer.drain()

    def _cut(self, link: Link) -> None:
        self.cuts[AT_ONCE] += 1
        link.end(is_reset=self.chance.random() < 0.5)


@asynccontextmanager
async def bad_network(api_url: str, seed: int) -> AsyncIterator[BadNetwork]:
    """A network in front of the API."""
    network = BadNetwork(api_url, random.Random(seed))  # noqa: S311 - the same choices on every run
    server = await asyncio.start_server(network.connect, "127.0.0.1", 0)
    network.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield network
    finally:
        server.close()
        network.is_over = True
        for link in network.links:
            link.end(is_reset=True)
        await eventually(lambda: not network.links)
