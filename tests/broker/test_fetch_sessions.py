"""A reader whose fetches name only what has changed reads what it would read without, in order and once."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.fetch import FetchRequest

from broker.producer import AckedProducer
from broker.shards.fetch_sessions import FetchSessions
from broker.topics import create_topics
from schemas.topics import events_topic
from tests.conftest import Broker

LOGS = 12
READ_WITHIN_S = 60.0
_numbers = count(1)


class Wire:
    """What passes between a reader and its broker; `hurt` may spoil a fetch before it is sent, or its answer."""

    def __init__(self, client: Any) -> None:
        self.named: list[list[str]] = []
        self.errors: list[int] = []
        self.chance: random.Random | None = None
        self._send = client.send
        self._sessions = FetchSessions(self._fetch)
        client.send = self._sent

    async def _sent(self, node_id: Any, request: Any, **more: Any) -> Any:
        send = self._sessions.fetch if isinstance(request, FetchRequest) else self._send
        return await send(node_id, request, **more)

    async def _fetch(self, node_id: Any, request: Any, **more: Any) -> Any:
        fate = self.chance.random() if self.chance is not None else 1.0
        if fate < 1 / 8:
            request._session = (request._session[0] + 1, request._session[1])  # as if the broker had forgotten ours
        if fate > 1 / 4:
            self.named.append([topic for topic, _ in request.topics])
        answer = await self._send(node_id, request, **more)
        self.errors.append(answer.error_code)
        if 1 / 8 < fate < 1 / 4:
            raise RequestTimedOutError  # the broker has answered, and remembers it
        return answer


@asynccontextmanager
async def reading(broker: Broker, topics: list[str]) -> AsyncIterator[tuple[AIOKafkaConsumer, Wire]]:
    """A reader of these topics after their first record."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        retry_backoff_ms=1,
    )
    await reader.start()
    wire = Wire(reader._client)
    reader.assign([TopicPartition(topic, 0) for topic in topics])
    for topic in topics:
        reader.seek(TopicPartition(topic, 0), 1)
    try:
        yield reader, wire
    finally:
        await reader.stop()


@asynccontextmanager
async def logs_on(broker: Broker) -> AsyncIterator[tuple[list[str], AckedProducer]]:
    """New logs with a record each, so that each has a leader, and a producer."""
    markets = [f"SESSION{next(_numbers)}-PERP" for _ in range(LOGS)]
    await create_topics(broker.bootstrap, markets)
    producer = AckedProducer(broker.bootstrap)
    await producer.start()
    topics = [events_topic(market) for market in markets]
    for topic in topics:
        await producer.send(topic, b"first", b"")
    try:
        yield topics, producer
    finally:
        await producer.stop()


async def read_until(reader: AIOKafkaConsumer, found: dict[str, list[bytes]], expected: Mapping[str, int]) -> None:
    """Add what is read to `found`, until it holds as many records of each log as expected."""
    async with asyncio.timeout(READ_WITHIN_S):
        while any(len(found[topic]) < number for topic, number in expected.items()):
            for tp, records in (await reader.getmany(timeout_ms=1_000)).items():
                found[tp.topic] += [record.value for record in records]


async def test_a_fetch_names_what_the_broker_does_not_know_of_it(broker: Broker) -> None:
    """All logs once, and after records have come only those that they are of."""
    async with logs_on(broker) as (topics, producer), reading(broker, topics) as (reader, wire):
        found: dict[str, list[bytes]] = defaultdict(list)
        for topic in topics:
            await producer.send(topic, b"new", b"")
        await read_until(reader, found, dict.fromkeys(topics, 1))
        await reader.getmany(timeout_ms=300)
        assert set().union(*wire.named) == set(topics)
        del wire.named[:]
        await producer.send(topics[3], b"one", b"")
        await read_until(reader, found, {topics[3]: 2})
        await reader.getmany(timeout_ms=300)
        assert [names for names in wire.named if names] == [[topics[3]]]
        assert found == {topic: [b"new"] for topic in topics} | {topics[3]: [b"new", b"one"]}


async def test_every_record_comes_once_and_in_order_whatever_becomes_of_the_session(broker: Broker) -> None:
    """Answers are lost, the broker forgets sessions, logs are paused, left and joined: each log is whole."""
    chance = random.Random(5)  # noqa: S311 - the same course on every run
    async with logs_on(broker) as (topics, producer), reading(broker, topics) as (reader, wire):
        wire.chance = chance
        found: dict[str, list[bytes]] = defaultdict(list)
        sent: dict[str, list[bytes]] = defaultdict(list)
        for turn in range(60):
            for topic in chance.sample(topics, 3):
                sent[topic].append(b"%d" % turn)
                await producer.send(topic, sent[topic][-1], b"")
            paused = [TopicPartition(topic, 0) for topic in chance.sample(topics, 2)]
            reader.pause(*paused)
            if turn % 10 == 5:
                gone = set(chance.sample(topics, 4))
                for read in ([each for each in topics if each not in gone], topics):
                    reader.assign([TopicPartition(each, 0) for each in read])
                    for each in read:
                        reader.seek(TopicPartition(each, 0), 1 + len(found[each]))
            for tp, records in (await reader.getmany(timeout_ms=20)).items():
                found[tp.topic] += [record.value for record in records]
            reader.resume(*paused)
        await read_until(reader, found, {topic: len(values) for topic, values in sent.items()})
        assert {topic: values for topic, values in found.items() if values} == sent
        assert any(wire.errors)
        assert any(code == 0 for code in wire.errors)
