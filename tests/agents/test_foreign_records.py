"""Records that are not ours, in every topic, while the workers run and while they do not: nothing stops, nothing is lost."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from agents.fills.app import MarketPublisher, publisher_unit
from agents.fills.end_of_topic import ours_in
from agents.matching.app import MarketEngine, engine_unit
from agents.projection.app import MarketProjection, projection_unit
from agents.projection.persister import Persister
from agents.projection.worker import Projector
from agents.relay import Relay
from agents.shard.market_work import Build
from agents.shard.shared_producer import SharedProducer
from agents.shard.unit import ShardUnit
from agents.verify import verify
from agents.worker.host import Unit
from broker.dead_letters import DeadLetter, read_dead_letters
from broker.errors import LogMismatch
from broker.event_records import read_written
from broker.producer import AckedProducer
from broker.unreadable import NewerRecord
from schemas.fills import decode_fill, encode_fill
from schemas.topics import events_topic, fills_topic
from schemas.wire import EventRecord, encode
from store.projection.errors import ChainBroken
from store.session.presence import Work
from tests.agents.fill_reader import kept_by_sequence
from tests.agents.intruder import KINDS, TOPICS, intrude
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.agents.test_projector import Delivered, matched
from tests.agents.test_publisher import published, stored
from tests.conftest import Broker
from tests.eventually import eventually

ALL: tuple[Callable[..., Unit], ...] = (Relay, engine_unit, projection_unit, publisher_unit)
EVERY = [(topic, kind) for topic in TOPICS for kind in KINDS if (topic, kind) != ("book", "tombstone")]
EACH = [pytest.param([(topic, kind)], id=f"{topic}-{kind}", marks=pytest.mark.chaos) for topic, kind in EVERY]


def units(stream: Stream) -> list[Unit]:
    """All workers of the market."""
    return [kind(stream.market, stream.settings) for kind in ALL]


async def write_foreign(stream: Stream, which: Sequence[tuple[str, str]]) -> None:
    """Write records of these kinds into these topics."""
    for topic, kind in which:
        await intrude(stream.settings.bootstrap, stream.market, topic, KINDS[kind])


async def letters(stream: Stream) -> list[DeadLetter]:
    """The dead letters of the market."""
    found = await read_dead_letters(stream.settings.bootstrap)
    return [dead_letter for dead_letter in found if dead_letter.market == stream.market]


async def are_set_aside(stream: Stream, which: Sequence[tuple[str, str]]) -> None:
    """Wait until every topic in question has dead letters, and the metric counts them."""
    expected = {TOPICS[topic](stream.market) for topic, _ in which}

    async def is_so() -> bool:
        return {letter.topic for letter in await letters(stream)} >= expected

    await eventually(is_so)
    for topic in expected:
        labels = {"market": stream.market, "topic": topic}
        assert (REGISTRY.get_sample_value("perpetua_foreign_records_total", labels) or 0) >= 1


async def goes_on(stream: Stream) -> None:
    """New orders are matched, persisted and published; every fill and every event is there once, and the log agrees."""
    before = (await stream.progress()).event_seq
    await stream.trade(40)
    assert (await stream.drained()).event_seq > before
    assert await stream.unfinished() == 0
    fills = [encode_fill(fill) for fill in await stored(stream)]
    await eventually(lambda: _are_published(stream, fills))


async def _are_published(stream: Stream, fills: list[bytes]) -> bool:
    ours, _ = ours_in(await published(stream), stream.market, decode_fill)
    return list(kept_by_sequence(each.record.value for each in ours).values()) == fills


async def test_foreign_records_of_one_market_hold_up_no_other(broker: Broker, database: str, tmp_path: Path) -> None:
    """One relay, one persister and one producer serve both markets; every topic of the first ends with such records."""
    async with stream_on(broker, database, tmp_path) as ill, stream_on(broker, database, tmp_path) as well:
        relay, persister = Relay([ill.market, well.market], ill.settings), Persister(ill.settings)
        shared = SharedProducer(broker.bootstrap)
        await write_foreign(ill, EVERY)
        markets = [ill.market, well.market]
        builds: dict[Work, Build] = {
            Work.ENGINE: MarketEngine,
            Work.PROJECTION: partial(MarketProjection, persister=persister),
            Work.PUBLISHER: partial(MarketPublisher, shared=shared),
        }
        shards = [ShardUnit(work, ill.market, ill.settings, build, markets=markets) for work, build in builds.items()]
        async with hosted(relay, *shards):
            await asyncio.gather(goes_on(ill), goes_on(well))
            await write_foreign(ill, EVERY)
            await asyncio.gather(goes_on(well), goes_on(ill))


@pytest.mark.parametrize("which", [pytest.param(EVERY, id="all"), *EACH])
async def test_a_foreign_record_stops_nothing(
    broker: Broker, database: str, tmp_path: Path, which: list[tuple[str, str]]
) -> None:
    """Written while the workers run, at the end of every topic while none runs, and read back by the next ones."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*units(stream)):
            await goes_on(stream)
            await write_foreign(stream, which)
            await goes_on(stream)
        await write_foreign(stream, which)
        async with hosted(*units(stream)):
            await goes_on(stream)
            await are_set_aside(stream, which)
        one_hash_each(await stream.records())
        report = await verify(stream.settings, stream.market)
        assert report.differences == []
        assert report.events == (await stream.progress()).event_seq
        assert report.skipped_records >= 2 * len([topic for topic, _ in which if topic != "fills"])


async def test_a_compacted_topic_takes_no_record_without_a_key(broker: Broker, database: str, tmp_path: Path) -> None:
    """The broker itself refuses one kind of foreign record."""
    async with stream_on(broker, database, tmp_path, users=0) as stream:
        producer = AckedProducer(stream.settings.bootstrap)
        await producer.start()
        with pytest.raises(KafkaError):
            await producer.send(TOPICS["book"](stream.market), b"x", key=None)  # type: ignore[arg-type]
        await producer.stop()


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
@pytest.mark.parametrize(
    "codec", ["zstd", *(pytest.param(each, marks=pytest.mark.chaos) for each in ("snappy", "lz4"))]
)
async def test_a_record_in_a_codec_that_we_cannot_read_stops_nothing(
    broker: Broker, database: str, tmp_path: Path, codec: str
) -> None:
    """The broker stores it without compression, whatever codec the writer used."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*units(stream)):
            await goes_on(stream)
        for topic in TOPICS.values():
            command = ["kcat", "-P", "-b", broker.bootstrap, "-t", topic(stream.market), "-k", "x", "-z", codec]
            kcat = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
            await kcat.communicate(b"x" * 10_000)
            assert kcat.returncode == 0
        async with hosted(*units(stream)):
            await goes_on(stream)
            await are_set_aside(stream, [(topic, "compressed") for topic in TOPICS])


def newer(record: EventRecord) -> bytes:
    """The record as a newer release would write it."""
    return encode(record).replace(b'"v":1}', b'"v":2}')


def altered(record: EventRecord) -> bytes:
    """The record with another event under the same hash."""
    body = bytes(record.events[0]).replace(b'"at":1', b'"at":2')
    assert body != bytes(record.events[0])
    return encode(msgspec.structs.replace(record, events=[msgspec.Raw(body), *record.events[1:]]))


@pytest.mark.parametrize(
    ("change", "error"), [(newer, NewerRecord), (altered, (ChainBroken, LogMismatch))], ids=["newer", "altered"]
)
async def test_a_record_of_ours_is_never_passed(
    broker: Broker,
    database: str,
    tmp_path: Path,
    change: Callable[[EventRecord], bytes],
    error: type[Exception] | tuple[type[Exception], ...],
) -> None:
    """One that this code cannot read, or that differs from its hash: projection and a restarting engine stop."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(5)
        records = await matched(stream)
        delivery = Delivered(records[0])
        delivery.message.value = change(records[0])
        projector = Projector(stream.market, stream.settings)
        with pytest.raises(error):
            await take_and_persist(projector, delivery)
        await projector.close()
        assert not delivery.is_acknowledged
        await write(stream, events_topic(stream.market), delivery.message.value)
        with pytest.raises(error):
            await read_written(stream.settings.bootstrap, stream.market, 1, range(1, 2))
        assert (await stream.progress()).event_seq == 0
        assert await letters(stream) == []


async def test_a_fill_that_was_never_matched_hides_none_of_ours(broker: Broker, database: str, tmp_path: Path) -> None:
    """It has the form of the next fill, of an event that is another: the publisher sends its own."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*units(stream)):
            await goes_on(stream)
        fills = await stored(stream)
        wrong = msgspec.structs.replace(
            fills[-1], sequence=fills[-1].sequence + 1, event_id=f"{stream.market}:1", price="1"
        )
        await write(stream, fills_topic(stream.market), encode_fill(wrong))
        async with hosted(*units(stream)):
            await stream.trade(40)
            await stream.drained()
            expected = [encode_fill(fill) for fill in await stored(stream)]

            async def are_there() -> bool:
                return {each.value for each in await published(stream)} >= set(expected)

            await eventually(are_there)
            assert [letter.detail for letter in await letters(stream)] == [
                f"no trade of the market is fill {wrong.sequence} of this event"
            ]


async def take_and_persist(projector: Projector, delivery: Delivered) -> None:
    """What the projection does with one record."""
    await projector.take(delivery)
    await asyncio.wait_for(projector.work(), 20)


async def write(stream: Stream, topic: str, value: bytes) -> None:
    """Write a record under the market's key."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    await producer.send(topic, value, key=stream.market.encode())
    await producer.stop()
