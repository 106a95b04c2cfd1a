"""Readers that stay connected between two readings."""

import asyncio
from itertools import count

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.kept_readers import keeping_readers, reading
from broker.producer import AckedProducer
from broker.reader import last_record, read_all
from broker.topics import create_topics
from schemas.topics import events_topic
from tests.conftest import Broker

_numbers = count(1)


async def topics_on(broker: Broker, count: int) -> list[str]:
    """New topics, each with a record that names it."""
    markets = [f"KEPT{next(_numbers)}-PERP" for _ in range(count)]
    await create_topics(broker.bootstrap, markets)
    names = [events_topic(market) for market in markets]
    producer = AckedProducer(broker.bootstrap)
    await producer.start()
    for name in names:
        await producer.send(name, name.encode(), b"")
    await producer.stop()
    return names


async def test_a_kept_reader_reads_one_topic_after_the_other(broker: Broker) -> None:
    """What it has fetched of one topic never shows in another; a topic is read again each time."""
    names = await topics_on(broker, 3)
    async with keeping_readers(broker.bootstrap, 1):
        first = await reader_of(broker, names[0])
        for name in [*names, *names]:
            assert [each.value for each in await read_all(broker.bootstrap, name)] == [name.encode()]
            assert await last_record(broker.bootstrap, name) == name.encode()
        assert await reader_of(broker, names[1]) is first
    assert first._closed


async def reader_of(broker: Broker, topic: str) -> object:
    """The reader that is given for a topic."""
    async with reading(broker.bootstrap, TopicPartition(topic, 0)) as reader:
        return reader


async def test_readings_at_the_same_time_have_a_reader_each_and_few_are_kept(broker: Broker) -> None:
    """Two are kept of five; each reads its own topic."""
    names = await topics_on(broker, 5)
    async with keeping_readers(broker.bootstrap, 2):
        for _ in range(2):
            found = await asyncio.gather(*(read_all(broker.bootstrap, name) for name in names))
            assert [each[0].value for each in found] == [name.encode() for name in names]
        first, second = (TopicPartition(name, 0) for name in names[:2])
        async with reading(broker.bootstrap, first) as one, reading(broker.bootstrap, second) as other:
            kept = {one, other}
        assert {await reader_of(broker, name) for name in names} <= kept


async def test_a_reader_is_not_kept_after_an_error(broker: Broker) -> None:
    """Its connection may be the reason."""
    (name,) = await topics_on(broker, 1)
    async with keeping_readers(broker.bootstrap, 1):
        with pytest.raises(TimeoutError):
            async with reading(broker.bootstrap, TopicPartition(name, 0)) as failed:
                raise TimeoutError
        assert failed._closed
        assert await reader_of(broker, name) is not failed


async def test_a_reading_that_is_cancelled_while_its_reader_stops_is_cancelled(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka takes the cancellation for its own: a market that was given up went on, and its worker waited 5 s for its end."""
    (name,) = await topics_on(broker, 1)
    stop, has_stopped = AIOKafkaConsumer.stop, asyncio.Event()

    async def stop_and_be_cancelled(reader: AIOKafkaConsumer) -> None:
        asyncio.get_running_loop().call_soon(read.cancel)
        await stop(reader)
        has_stopped.set()

    monkeypatch.setattr(AIOKafkaConsumer, "stop", stop_and_be_cancelled)
    read = asyncio.create_task(read_all(broker.bootstrap, name))
    await asyncio.wait([read])
    assert read.cancelled()
    await has_stopped.wait()


async def test_as_many_read_at_a_time_as_are_kept_unless_one_takes_long(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a process that reads many topics connects no more readers; one that waits for a log does not hold up the others."""
    names = await topics_on(broker, 3)
    first = TopicPartition(names[0], 0)
    async with keeping_readers(broker.bootstrap, 1):
        is_done = asyncio.Event()

        async def read_for_long() -> None:
            async with reading(broker.bootstrap, first):
                await is_done.wait()

        monkeypatch.setattr("broker.kept_readers.WAITS_FOR_TURN_S", 60.0)
        long = asyncio.create_task(read_for_long())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(reader_of(broker, names[1]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.5)
        monkeypatch.setattr("broker.kept_readers.WAITS_FOR_TURN_S", 0.01)
        await reader_of(broker, names[2])
        is_done.set()
        await asyncio.gather(long, waiting)
