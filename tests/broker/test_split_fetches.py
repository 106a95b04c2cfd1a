"""A reader that fetches busy logs and quiet ones apart reads what it would read without, in order and once."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.fetch import FetchRequest

from broker.shards import split_fetches
from broker.shards.fetch_sessions import wanted_by
from broker.shards.split_fetches import QUIET_CONNECTION, SPLIT_FROM_LOGS, SplitFetches
from tests.broker.test_fetch_sessions import logs_on, read_until
from tests.broker.test_fetch_sessions import reading as reading_plainly
from tests.conftest import Broker


class Wire:
    """What passes between a reader and its broker; `chance` loses every sixth answer."""

    def __init__(self, client: Any) -> None:
        self.fetched: dict[int, list[set[str]]] = defaultdict(list)
        self.chance: random.Random | None = None
        self.fetches = SplitFetches(self._fetch, lambda *_: 0.0)
        self._send = client.send
        client.send = self._sent

    async def _sent(self, node_id: Any, request: Any, **more: Any) -> Any:
        if isinstance(request, FetchRequest):
            return await self.fetches.fetch(node_id, request)
        return await self._send(node_id, request, **more)

    async def _fetch(self, node_id: Any, request: Any, group: int = ConnectionGroup.DEFAULT) -> Any:
        self.fetched[group].append({topic for topic, _ in wanted_by(request._all)})
        answer = await self._send(node_id, request, group=group)
        if self.chance is not None and self.chance.random() < 1 / 6:
            raise RequestTimedOutError
        return answer


@asynccontextmanager
async def reading(broker: Broker, topics: list[str]) -> AsyncIterator[tuple[AIOKafkaConsumer, Wire]]:
    """A reader of these topics after their first record."""
    async with AsyncExitStack() as opened:
        reader, _ = await opened.enter_async_context(reading_plainly(broker, []))
        del reader._client.send  # that of its class again
        wire = Wire(reader._client)
        assign(reader, dict.fromkeys(topics, 1))
        yield reader, wire
    await wire.fetches.close()


def assign(reader: AIOKafkaConsumer, offsets: dict[str, int]) -> None:
    """Read these topics from these offsets on."""
    reader.assign([TopicPartition(topic, 0) for topic in offsets])
    for topic, offset in offsets.items():
        reader.seek(TopicPartition(topic, 0), offset)


async def test_the_fetches_of_busy_logs_leave_the_quiet_ones_alone(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One log has record after record: the fetch of the others waits all the while."""
    monkeypatch.setattr(split_fetches, "BUSY_FOR_S", 60.0)
    monkeypatch.setattr(split_fetches, "QUIET_MAX_WAIT_MS", 30_000)
    async with logs_on(broker) as (topics, producer), reading(broker, topics) as (reader, wire):
        busy, *quiet = topics
        found: dict[str, list[bytes]] = defaultdict(list)
        await producer.send(busy, b"0", b"")
        await read_until(reader, found, {busy: 1})
        wire.fetched.clear()
        for number in range(1, 20):
            await producer.send(busy, b"%d" % number, b"")
            await read_until(reader, found, {busy: number + 1})
        assert found == {busy: [b"%d" % number for number in range(20)]}
        assert all(names == {busy} for names in wire.fetched[ConnectionGroup.DEFAULT])
        assert len(wire.fetched[QUIET_CONNECTION]) <= 1
        await producer.send(quiet[0], b"one", b"")
        await read_until(reader, found, {quiet[0]: 1})
        assert found[quiet[0]] == [b"one"]


async def test_few_logs_share_one_fetch(broker: Broker) -> None:
    """A second connection would cost more than it saves."""
    async with logs_on(broker) as (topics, producer), reading(broker, topics[: SPLIT_FROM_LOGS - 1]) as (reader, wire):
        found: dict[str, list[bytes]] = defaultdict(list)
        await producer.send(topics[0], b"one", b"")
        await read_until(reader, found, {topics[0]: 1})
        assert wire.fetched[ConnectionGroup.DEFAULT]
        assert not wire.fetched[QUIET_CONNECTION]


@pytest.mark.parametrize("busy_for_s", [0.0, 0.05, 60.0])
async def test_every_record_comes_once_and_in_order_whichever_fetch_brings_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, busy_for_s: float
) -> None:
    """Logs turn busy and quiet, are paused, left and joined, and answers are lost: each log is whole."""
    monkeypatch.setattr(split_fetches, "BUSY_FOR_S", busy_for_s)
    monkeypatch.setattr(split_fetches, "QUIET_MAX_WAIT_MS", 100)
    chance = random.Random(5)  # noqa: S311 - the same course on every run
    async with logs_on(broker) as (topics, producer), reading(broker, topics) as (reader, wire):
        wire.chance = chance
        found: dict[str, list[bytes]] = defaultdict(list)
        sent: dict[str, list[bytes]] = defaultdict(list)
        for turn in range(40):
            for topic in {topics[0], *chance.sample(topics, 2)}:
                sent[topic].append(b"%d" % turn)
                await producer.send(topic, sent[topic][-1], b"")
            paused = [TopicPartition(topic, 0) for topic in chance.sample(topics, 2)]
            reader.pause(*paused)
            if turn % 10 == 5:
                gone = set(chance.sample(topics, 4))
                for read in ([each for each in topics if each not in gone], topics):
                    assign(reader, {topic: 1 + len(found[topic]) for topic in read})
                    reader.pause(*(tp for tp in paused if tp.topic in read))
            for tp, records in (await reader.getmany(timeout_ms=20)).items():
                found[tp.topic] += [record.value for record in records]
            reader.resume(*paused)
        await read_until(reader, found, {topic: len(values) for topic, values in sent.items()})
        assert {topic: values for topic, values in found.items() if values} == sent
