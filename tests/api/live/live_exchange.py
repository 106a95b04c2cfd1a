"""An API whose engine also writes the event log, on a real broker; the projection follows when the test says so."""

import itertools
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import msgspec

from api.live.live_feeds import live_feeds
from api.server import ApiServer
from broker.producer import AckedProducer
from broker.topics import create_topics
from exchange.engine.log.journal import answer_command
from exchange.engine.market import empty_market
from schemas.market import SEED_MARKETS
from schemas.topics import events_topic
from schemas.wire import GENESIS_HASH, EventRecord, decode_command, encode
from store.markets.registry import list_market
from store.projection import Projection
from store.session.connect import connect_writer
from tests.api.exchange import Client, Exchange, Reply, now, record_of
from tests.api.live.client import Live
from tests.conftest import Broker

_numbers = itertools.count(1)


@dataclass
class LiveExchange(Exchange):
    """Two markets of its own, `first` and `second`."""

    bootstrap: str = ""
    first: str = ""
    second: str = ""
    producer: AckedProducer = field(init=False)
    unprojected: list[EventRecord] = field(default_factory=list)

    async def start(self, **changes: Any) -> Self:
        """List the markets, then listen."""
        if not self.first:
            self.first, self.second = [f"L{os.getpid()}X{next(_numbers)}-PERP" for _ in range(2)]
            await self._list()
        self.producer = AckedProducer(self.bootstrap)
        await self.producer.start()
        await super().start(**changes)
        return self

    def _make_server(self) -> ApiServer:
        feeds = live_feeds(self.services.database, self.bootstrap, now, self.services.ranks)
        self.services = replace(self.services, live=feeds)
        return ApiServer(self.services, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Stop listening and writing."""
        await super().stop()
        await self.producer.stop()

    async def place(self, user: Client, **fields: Any) -> Reply:
        """Place a bid of 0.1 at 60,000 in the first market, changed by these fields; it is accepted."""
        placed = await user.order(**{"marketId": self.first, **fields})
        assert placed.status == 202, placed.body
        return placed

    async def step(self) -> None:
        """Match what is new and project it."""
        await self.match()
        await self.project()

    async def match(self) -> None:
        """Match what is new, and write its events to the log; nothing is projected."""
        await self.run_engine()

    async def project(self) -> None:
        """Project what was matched."""
        for market in (self.first, self.second):
            records = [record for record in self.unprojected if record.market == market]
            projection = Projection(lambda: connect_writer(self.dsn, "test projection"), market)
            for record in records:
                await projection.apply([record], [now()])
            await projection.close()
        self.unprojected.clear()

    async def _run_market(self, name: str, commands: list[tuple[int, bytes]]) -> None:
        if name not in (self.first, self.second):
            await super()._run_market(name, commands)
            return
        market = self.markets.setdefault(name, empty_market(name))
        for seq, payload in commands:
            before = market.event_hash or GENESIS_HASH
            if written := answer_command(market, seq, decode_command(payload)):
                record = record_of(name, before, written)
                self.unprojected.append(record)
                await self.producer.send(events_topic(name), encode(record), key=b"")
        await self._relay(name, commands[-1][0])

    async def _list(self) -> None:
        session = await connect_writer(self.dsn, "test")
        for market in (self.first, self.second):
            await list_market(session, msgspec.structs.replace(SEED_MARKETS[0], market=market), now())
        await session.close()
        await create_topics(self.bootstrap, [self.first, self.second])


@asynccontextmanager
async def live_exchange(broker: Broker, database: str, **changes: Any) -> AsyncIterator[LiveExchange]:
    """One that listens, its markets open."""
    exchange = await LiveExchange(database, bootstrap=broker.bootstrap).start(**changes)
    try:
        await exchange.step()
        yield exchange
    finally:
        await exchange.stop()


@dataclass
class Told:
    """What a subscription has told, in order."""

    frames: list[dict[str, Any]]

    def of(self, op: str) -> list[dict[str, Any]]:
        """The frames of a kind."""
        return [frame for frame in self.frames if frame["op"] == op]


async def subscribed(live: Live, channel: str, **parameters: Any) -> Told:
    """Subscribe; everything up to `current`."""
    number = await live.send("subscribe", channel=channel, **parameters)
    told = Told([await live.other()])
    assert (told.frames[0]["op"], told.frames[0]["channel"]) == ("subscribed", channel), told.frames
    while told.frames[-1]["op"] != "current":
        told.frames.append(await live.other())
    assert (await live.result(number)).status == 200
    return told


async def frames(live: Live, count: int) -> list[dict[str, Any]]:
    """The next frames."""
    return [await live.other() for _ in range(count)]


def ids(found: Iterable[dict[str, Any]], name: str) -> list[str]:
    """A field of what they show."""
    return [each["data"][name] for each in found]
