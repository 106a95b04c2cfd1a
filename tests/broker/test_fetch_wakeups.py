"""A fetch that ends while its client is woken for another reason: the client goes on at once, and does not sleep first."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.shard.unit import ShardUnit
from broker.kept_readers import reading
from broker.producer import AckedProducer
from broker.topics import create_topics
from schemas.topics import events_topic
from tests.agents.stream import hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually

FOREVER_MS = 3_600_000
WITHIN_S = 10.0
MARKET = "WOKEN-PERP"


def wake_at_the_end_of_fetches(client: AIOKafkaConsumer, wake: Callable[[], None]) -> None:
    """Wake the loop of its fetcher when an answer is there, and let the fetch end before the loop has run."""
    kafka: Any = client._client
    send = kafka.send

    async def send_and_wake(node: int, request: object, **more: Any) -> object:
        answer = await send(node, request, **more)
        if isinstance(request, FetchRequest):
            wake()
            await asyncio.sleep(0)
        return answer

    kafka.send = send_and_wake


async def test_a_reader_that_seeks_while_a_fetch_ends_reads_on(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that begins reads the tables and logs of its markets so: after one in fifty kills, a market slept for five seconds."""
    monkeypatch.setattr("broker.kept_readers.FETCHER_SLEEPS_MS", FOREVER_MS)
    await create_topics(broker.bootstrap, [MARKET])
    log = TopicPartition(events_topic(MARKET), 0)
    producer = AckedProducer(broker.bootstrap)
    await producer.start()
    for value in (b"first", b"second"):
        await producer.send(log.topic, value, b"")
    await producer.stop()
    async with reading(broker.bootstrap, log) as reader:
        wake_at_the_end_of_fetches(reader, lambda: reader.seek(log, 1))
        reader.seek(log, 0)
        record = await asyncio.wait_for(reader.getone(log), WITHIN_S)
    assert record.value == b"second"


async def test_an_owner_that_is_woken_while_a_fetch_ends_reads_on(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one is whose records of one node are taken while a fetch from another ends with nothing."""
    monkeypatch.setattr("broker.shards.consumer.FETCHER_SLEEPS_MS", FOREVER_MS)
    async with stream_on(broker, database, tmp_path) as stream:
        engine, projection = (part(stream.market, stream.settings) for part in (engine_unit, projection_unit))
        async with hosted(Relay(stream.market, stream.settings), engine, projection):
            woken = [wake_fetcher_at_the_end_of_fetches(unit) for unit in (engine, projection)]
            await eventually(lambda: all(each.is_set() for each in woken))
            await stream.trade(20)
            await stream.drained(WITHIN_S)


def wake_fetcher_at_the_end_of_fetches(unit: ShardUnit) -> threading.Event:
    """As above, with the client of an owner, which runs in another thread; set when a fetch has ended so."""
    woken = threading.Event()
    reader: Any = cast("Any", unit.app.consumer)._thread._consumer

    def wake() -> None:
        reader._fetcher._notify(reader._fetcher._wait_consume_future)
        woken.set()

    wake_at_the_end_of_fetches(reader, wake)
    return woken
