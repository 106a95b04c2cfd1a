"""The publishers of a process share a producer: each market in its order, whatever happens to another one's topic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from agents.fills.worker import Publisher
from agents.shard.shared_producer import SharedProducer
from broker.reader import read_all
from schemas.fills import decode_fill
from schemas.topics import fills_topic
from store.projection import Projection
from store.session.connect import connect_writer
from tests.agents.stream import Stream, stream_on
from tests.agents.test_projector import Delivered, append, matched
from tests.conftest import Broker
from tests.eventually import eventually
from tests.topic_faults import PROBE, lift_limit, limit_records

MARKETS = 3


@pytest_asyncio.fixture
async def streams(broker: Broker, database: str, tmp_path: Path) -> AsyncIterator[list[Stream]]:
    """Markets whose events are in the log; nothing is persisted."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(stream_on(broker, database, tmp_path)) for _ in range(MARKETS)]


async def delivered(stream: Stream, orders: int) -> list[Delivered]:
    """The event records of more orders, as the stream hands them over."""
    await stream.trade(orders)
    records = await matched(stream)
    await append(stream, records)
    return [Delivered(record) for record in records]


async def publish(publisher: Publisher, records: list[Delivered]) -> None:
    """Hand records over one after the other, as the agent of the market does."""
    for record in records:
        await publisher.take(record)


async def sequences(stream: Stream) -> list[int]:
    """The fills of the market's topic, in their order."""
    return [
        decode_fill(each.value).sequence
        for each in await read_all(stream.settings.bootstrap, fills_topic(stream.market))
        if each.key != PROBE
    ]


async def test_a_topic_that_refuses_its_records_holds_up_no_other_market(streams: list[Stream]) -> None:
    """No fill of any market is missing, doubled or out of order, neither while a topic refuses nor after it is mended."""
    shared = SharedProducer(streams[0].settings.bootstrap)
    publishers = [Publisher(stream.market, stream.settings, shared) for stream in streams]
    records = [await delivered(stream, 40) for stream in streams]
    await asyncio.gather(*(publish(each, some[:10]) for each, some in zip(publishers, records, strict=True)))
    bootstrap, topic = streams[0].settings.bootstrap, fills_topic(streams[0].market)
    await limit_records(bootstrap, topic, "100")
    refused, *others = [
        asyncio.create_task(publish(each, some[10:])) for each, some in zip(publishers, records, strict=True)
    ]
    await asyncio.wait_for(asyncio.gather(*others), 60)
    assert not refused.done()
    await lift_limit(bootstrap, topic)
    await asyncio.wait_for(refused, 60)
    for stream, some in zip(streams, records, strict=True):
        published = await sequences(stream)
        assert published == list(range(1, len(published) + 1))
        assert published
        assert all(each.is_acknowledged for each in some)
    for publisher in publishers:
        await publisher.disconnect()


async def test_a_fill_that_is_missing_holds_up_no_other_market(streams: list[Stream]) -> None:
    """It is neither in the log nor persisted: its market waits for it, the others publish, and nothing is left out."""
    shared = SharedProducer(streams[0].settings.bootstrap)
    publishers = [Publisher(stream.market, stream.settings, shared) for stream in streams]
    waits, *others = [await delivered(stream, 40) for stream in streams]
    last = [each for each in waits if b"trade.executed" in each.message.value][-1]
    waiting = asyncio.create_task(publishers[0].take(last))
    for publisher, some in zip(publishers[1:], others, strict=True):
        await publish(publisher, some)
    assert not waiting.done()
    projection = Projection(lambda: connect_writer(streams[0].settings.dsn, "test"), streams[0].market)
    await projection.apply(await matched(streams[0]))
    await waiting
    await projection.close()
    for publisher, stream in zip(publishers, streams, strict=True):
        published = await sequences(stream)
        assert published == list(range(1, len(published) + 1))
        assert published
        await publisher.disconnect()


async def test_a_market_that_leaves_and_comes_back_continues_where_its_topic_ends(streams: list[Stream]) -> None:
    """Another owner has published meanwhile; the markets that stayed use the same producer all the time."""
    shared = SharedProducer(streams[0].settings.bootstrap)
    records = [await delivered(stream, 30) for stream in streams]
    publishers = [Publisher(stream.market, stream.settings, shared) for stream in streams]
    for publisher, some in zip(publishers, records, strict=True):
        await publish(publisher, some[:10])
    await publishers[0].disconnect()
    other = Publisher(streams[0].market, streams[0].settings)
    await publish(other, records[0][10:20])
    await other.disconnect()
    back = Publisher(streams[0].market, streams[0].settings, shared)
    for publisher, some in zip([back, *publishers[1:]], records, strict=True):
        await publish(publisher, some)
        await publisher.disconnect()
    for stream in streams:
        published = await sequences(stream)
        assert published == list(range(1, len(published) + 1))
    await eventually(lambda: not shared.producer._clients._closing)
