"""The producer of our own notices that a log has lost its tail."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from agents.matching.recovery import begin_assignment
from broker.event_records import read_written
from broker.producer import DOUBTED_AFTER_S, AckedProducer, LogTruncated, OutgoingRecord
from broker.reader import NO_RECORD, LastRecord, read_all, record_at
from broker.topics import create_topics
from schemas.topics import commands_topic, events_topic
from tests.agents.stream import Stream, stream_on
from tests.conftest import Broker
from tests.topic_faults import PROBE, delete_topic, lift_limit, limit_records

Change = Callable[[str, str], Awaitable[None]]
"""What happens to a topic of a broker."""

GONE = LastRecord(0, b"", b"[0]")
"""What recovery saw as the only record, and what the log has lost by now."""


class Unanswered(AckedProducer):
    """A producer whose first record reaches the log, and the reply to it is lost."""

    _is_first = True

    async def _send_once(self, topic: str, record: OutgoingRecord) -> int:
        offset = await super()._send_once(topic, record)
        if self._is_first:
            self._is_first = False
            raise KafkaTimeoutError
        return offset


class Connected(AckedProducer):
    """A producer whose connections end, as those to a broker that ends do."""

    async def _connected(self) -> AIOKafkaProducer:
        self._client = await super()._connected()
        return self._client

    def disconnect(self) -> None:
        """End them."""
        for connection in self._client.client._conns.values():
            connection.close()


@asynccontextmanager
async def producing(stream: Stream, kind: type[AckedProducer] = AckedProducer) -> AsyncIterator[AckedProducer]:
    """A producer of that kind, connected."""
    producer = kind(stream.settings.bootstrap)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def producing_after(
    value: bytes, broker: Broker, database: str, folder: Path, kind: type[AckedProducer] = AckedProducer
) -> AsyncIterator[tuple[Stream, AckedProducer]]:
    """A producer at an event log whose only record, of this value, another one has written."""
    async with stream_on(broker, database, folder) as stream:
        async with producing(stream) as another:
            await another.send(events_topic(stream.market), value, key=b"")
        async with producing(stream, kind) as producer:
            yield stream, producer


async def test_a_log_that_lost_its_tail_between_recovery_and_the_first_event_is_noticed(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Found by the simulator (seed 161): events counted as written were gone, and the projection was stuck at a hole."""
    async with stream_on(broker, database, tmp_path) as stream, producing(stream) as producer:
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, GONE)
        for _ in range(2):  # the second at offset 1: the log is as long as it was, and holds something else
            with pytest.raises(LogTruncated):
                await producer.send(topic, b"{}", key=b"")


async def test_recovery_remembers_where_the_log_ended(broker: Broker, database: str, tmp_path: Path) -> None:
    """An empty log ends before its first offset."""
    async with stream_on(broker, database, tmp_path) as stream:
        assert (await begin_assignment(stream.market, stream.settings, {})).log_end == NO_RECORD
        assert (await read_written(stream.settings.bootstrap, stream.market, 1, range(1, 2))).last == NO_RECORD


async def test_records_sent_together_are_there_in_order_and_counted(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Two batches' worth, with key and headers; what is sent next must come after the last of them."""
    async with stream_on(broker, database, tmp_path) as stream, producing(stream) as producer:
        topic = events_topic(stream.market)
        sent = [OutgoingRecord(b"key", b"%d " % n + b"x" * 4_000, [("n", b"%d" % n)]) for n in range(200)]
        await producer.send_together(topic, sent)
        assert producer.appended.total() == 2  # 512 KiB at a time
        await producer.send_together(topic, [])
        await producer.send_together(topic, sent[:1])
        found = await read_all(stream.settings.bootstrap, topic)
        assert [OutgoingRecord(each.key, each.value, list(each.headers)) for each in found] == [*sent, sent[0]]
        producer.expect_beyond(topic, LastRecord(201, *sent[0][:2]))
        with pytest.raises(LogTruncated):
            await producer.send_together(topic, sent[:1])


async def test_a_copy_that_fills_the_lost_place_does_not_hide_the_loss(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Found by the simulator: the first try took the lost record's place, so the second came after it."""
    async with stream_on(broker, database, tmp_path) as stream, producing(stream, Unanswered) as producer:
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, GONE)
        with pytest.raises(LogTruncated):
            await producer.send(topic, b"{}", key=b"")
        assert len(await read_all(stream.settings.bootstrap, topic)) == 2


async def test_a_copy_after_what_is_known_is_no_loss(broker: Broker, database: str, tmp_path: Path) -> None:
    """The record that recovery saw is where it was: a lost reply alone stops no owner."""
    async with producing_after(b"[]", broker, database, tmp_path, Unanswered) as (stream, producer):
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, LastRecord(0, b"", b"[]"))
        await producer.send(topic, b"{}", key=b"")
        found = await read_all(stream.settings.bootstrap, topic)
        assert [each.value for each in found] == [b"[]", b"{}", b"{}"]


async def test_another_record_in_the_place_of_the_lost_one_does_not_hide_the_loss(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Found by the simulator (seed 18280): another owner had noticed by writing there, and died; we came after it."""
    async with producing_after(b"[1]", broker, database, tmp_path) as (stream, producer):
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, GONE)
        with pytest.raises(LogTruncated):
            await producer.send(topic, b"{}", key=b"")


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_producer_connected_again_looks_whether_its_last_record_is_still_there(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_lost: bool
) -> None:
    """Found by the simulator (seeds 708395, 709043): the broker ended and lost it, and another owner wrote there at once."""
    monkeypatch.setattr("broker.producer.DOUBTED_AFTER_S", math.inf)  # it was not frozen
    async with stream_on(broker, database, tmp_path) as stream, producing(stream, Connected) as producer:
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, NO_RECORD)
        for value in (b"[0]", b"[1]"):
            await producer.send(topic, value, key=b"")
        if is_lost:
            await _replace(stream, [b"[0]", b"[2]"])
        producer.disconnect()
        with pytest.raises(LogTruncated) if is_lost else nullcontext():
            await producer.send(topic, b"[2]", key=b"")


async def test_the_record_that_was_read_is_looked_at_once(broker: Broker, database: str, tmp_path: Path) -> None:
    """An owner that finds it in its place continues, record by record, with nothing to doubt."""
    async with producing_after(b"[0]", broker, database, tmp_path) as (stream, producer):
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, GONE)
        for value in (b"[1]", b"[2]"):
            await producer.send(topic, value, key=b"")
        assert [each.value for each in await read_all(stream.settings.bootstrap, topic)] == [b"[0]", b"[1]", b"[2]"]


@pytest.mark.parametrize("is_another_written", [True, False])
async def test_a_quiet_topic_is_looked_at_only_where_the_process_may_have_been_frozen(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_another_written: bool
) -> None:
    """A look costs more than the record: by Zipf's law most of 200 markets have none for a second and a half."""
    now_s, looks = [1_000.0], []

    async def look(bootstrap: str, topic: str, offset: int) -> LastRecord | None:
        looks.append((topic, offset))
        return await record_at(bootstrap, topic, offset)

    monkeypatch.setattr("broker.producer.time", SimpleNamespace(monotonic=lambda: now_s[0]))
    monkeypatch.setattr("broker.producer.record_at", look)
    async with producing_after(b"[0]", broker, database, tmp_path) as (stream, producer):
        topic = events_topic(stream.market)
        producer.expect_beyond(topic, LastRecord(0, b"", b"[0]"))
        for value in (b"[1]", b"[2]"):  # from the second on it is connected
            await producer.send(topic, value, key=b"")
        looks.clear()
        for _ in range(4):
            now_s[0] += DOUBTED_AFTER_S / 2
            if is_another_written:
                await producer.send(commands_topic(stream.market), b"{}", key=b"")
        await producer.send(topic, b"[3]", key=b"")
        assert looks == ([] if is_another_written else [(topic, 2)])


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_topic_that_refused_a_record_takes_it_once_it_is_mended(
    broker: Broker, database: str, tmp_path: Path, is_batch: bool
) -> None:
    """From the same producer, once and in order: its client's sequence counts what the broker has refused."""
    async with stream_on(broker, database, tmp_path) as stream, producing(stream) as producer:
        topic, records = (
            events_topic(stream.market),
            [OutgoingRecord(b"k", b"%d" % number * 300, ()) for number in range(3)],
        )
        await producer.send(topic, records[0].value, records[0].key)
        await limit_records(broker.bootstrap, topic, "100")
        rest = records[1:]
        entries = [(record.key, record.value) for record in rest]
        sending = asyncio.create_task(
            producer.send_together(topic, rest) if is_batch else producer.send_all(topic, entries)
        )
        await asyncio.sleep(0.5)
        assert not sending.done()
        await lift_limit(broker.bootstrap, topic)
        await asyncio.wait_for(sending, 20)
        found = [each.value for each in await read_all(broker.bootstrap, topic) if each.key != PROBE]
        assert found == [each.value for each in records]


@pytest_asyncio.fixture
async def empty_market(broker: Broker, database: str, tmp_path: Path) -> AsyncIterator[Stream]:
    """A market with its topics."""
    async with stream_on(broker, database, tmp_path) as stream:
        yield stream


class Counting(AckedProducer):
    """Counts its clients."""

    clients = 0

    async def _connected(self) -> AIOKafkaProducer:
        self.clients += 1
        return await super()._connected()


async def _shrink(bootstrap: str, topic: str) -> None:
    await limit_records(bootstrap, topic, "100")


async def _replace(stream: Stream, values: Sequence[bytes]) -> None:
    """Let another write these into an event log that has lost everything."""
    topic = events_topic(stream.market)
    await delete_topic(stream.settings.bootstrap, topic)
    await create_topics(stream.settings.bootstrap, [stream.market])
    async with producing(stream) as another:
        for value in values:
            await another.send(topic, value, key=b"")


async def _make(bootstrap: str, topic: str) -> None:
    await create_topics(bootstrap, [topic.removeprefix("engine.commands.")])


class Trouble(NamedTuple):
    """What happens to a topic and how it is mended, how many clients are made, and whether the topic is empty then."""

    happens: Change
    is_mended: Change
    clients: int
    is_emptied: bool


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Trouble(_shrink, lift_limit, 2, is_emptied=False), id="refused for good"),
        pytest.param(Trouble(delete_topic, _make, 3, is_emptied=True), id="tried again by the client"),
    ],
)
async def test_a_topic_that_takes_no_record_does_not_hold_up_the_others(
    empty_market: Stream, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes to a client of its own, alone; mended, it takes each record once and in order. One that was made again is noticed."""
    bootstrap = empty_market.settings.bootstrap
    ill, well = commands_topic(empty_market.market), events_topic(empty_market.market)
    values = [b"%d" % number * 300 for number in range(3)]
    async with producing(empty_market, Counting) as producer:
        assert isinstance(producer, Counting)
        await producer.send(ill, values[0], b"k")
        await trouble.happens(bootstrap, ill)
        sending = asyncio.create_task(producer.send_all(ill, [(b"k", value) for value in values[1:]]))
        sent: list[bytes] = []
        while producer.clients < trouble.clients:
            assert not sending.done()
            sent.append(b"%d" % len(sent))
            await asyncio.wait_for(producer.send(well, sent[-1], b"k"), 20)
        assert not sending.done()
        await trouble.is_mended(bootstrap, ill)
        if trouble.is_emptied:
            with pytest.raises(LogTruncated):
                await asyncio.wait_for(sending, 30)
            producer.forget(ill)
            await producer.send(ill, values[2], b"k")
        else:
            await asyncio.wait_for(sending, 30)
        found = [each.value for each in await read_all(bootstrap, ill) if each.key != PROBE]
        assert found == (values[1:] if trouble.is_emptied else values)
        assert [each.value for each in await read_all(bootstrap, well)] == sent
    assert "asyncio" not in {line.name for line in caplog.records}, "the client that was given up left something behind"


async def test_a_producer_that_is_stopped_does_not_wait_for_a_topic_that_takes_no_record(empty_market: Stream) -> None:
    """It ends without that record, and the next producer can send."""
    bootstrap, topic = empty_market.settings.bootstrap, commands_topic(empty_market.market)
    async with producing(empty_market) as producer:
        await producer.send(topic, b"0", b"k")
        await delete_topic(bootstrap, topic)
        sending = asyncio.create_task(producer.send(topic, b"1", b"k"))
        await asyncio.sleep(0.3)
        sending.cancel()
    await _make(bootstrap, topic)
    async with producing(empty_market) as producer:
        await producer.send(topic, b"2", b"k")
    assert [each.value for each in await read_all(bootstrap, topic)] == [b"2"]
