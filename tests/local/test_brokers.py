"""Both brokers a local exchange can stand on keep the promises the agents build on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.local.broker import EmbeddedBroker
from app.local.kafka import LocalKafka, is_available
from app.topics import cluster_id, create_topics, topic_settings
from schemas import topics
from tables.embedded_broker import end_offset, is_embedded_cluster, producer_settings

COMMANDS = TopicPartition(topics.commands_topic("BTC-PERP"), 0)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Running:
    """A started broker and where it listens."""

    server: EmbeddedBroker | LocalKafka
    address: str

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded one."""
        return isinstance(self.server, EmbeddedBroker)


@pytest_asyncio.fixture(
    params=["embedded", "kafka"] if is_available() else ["embedded"], scope="module", loop_scope="module"
)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Each kind of broker this machine can run, with the topics of a market."""
    folder = tmp_path_factory.mktemp("broker")
    server = EmbeddedBroker(folder / "log") if request.param == "embedded" else LocalKafka(folder / "kafka")
    running = Running(server, await server.start())
    await create_topics(running.address, ["BTC-PERP"], is_embedded=running.is_embedded)
    yield running
    await server.stop()


async def test_every_record_comes_back_in_order_and_the_end_is_told_truly(running: Running) -> None:
    """100 records in ten batches come back as sent, and the end offset is the number of them."""
    await _send(running, batches=10, records=10)
    consumer = AIOKafkaConsumer(bootstrap_servers=running.address, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([COMMANDS])
        assert await end_offset(consumer, COMMANDS) == 100
        consumer.seek(COMMANDS, 0)
        values = [(await consumer.getone(COMMANDS)).value for _ in range(100)]
        assert values == [b"%d" % number for number in range(100)]
    finally:
        await consumer.stop()


async def test_an_empty_topic_ends_at_zero(running: Running) -> None:
    """Nothing was sent to the dead letters, so the next record gets offset 0."""
    empty = TopicPartition(topics.DEAD_LETTERS, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=running.address, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([empty])
        assert await end_offset(consumer, empty) == 0
    finally:
        await consumer.stop()


async def test_topics_are_made_once_with_one_partition_and_our_settings(running: Running) -> None:
    """Creating them again changes nothing; the book topic is compacted only."""
    await create_topics(running.address, ["BTC-PERP"], is_embedded=running.is_embedded)
    client = AIOKafkaAdminClient(bootstrap_servers=running.address)
    await client.start()
    try:
        for name, settings in topic_settings(["BTC-PERP"]):
            description = (await client.describe_topics([name]))[0]
            assert (description["topic"], len(description["partitions"])) == (name, 1)
            answer = (await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)]))[0]
            stored = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert settings.items() <= stored.items()
    finally:
        await client.close()


async def test_the_cluster_id_tells_the_kind_of_broker(running: Running) -> None:
    """An embedded cluster is known by its id, so that no process takes one kind for the other."""
    answered = await cluster_id(running.address)
    assert answered == running.server.cluster_id
    assert is_embedded_cluster(answered) == running.is_embedded


async def test_after_a_kill_kafka_knows_its_records_and_the_embedded_broker_is_another_one(running: Running) -> None:
    """kill -9: Kafka comes back at its address with its id and records; the embedded broker comes back empty and new."""
    server, before = running.server, running.server.cluster_id
    assert server.pid is not None
    assert server.memory_bytes() > 2**20
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    again = await server.start()
    if running.is_embedded:
        assert server.cluster_id != before
        return
    assert (again, server.cluster_id) == (running.address, before)
    consumer = AIOKafkaConsumer(bootstrap_servers=again, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([COMMANDS])
        assert await end_offset(consumer, COMMANDS) == 100
    finally:
        await consumer.stop()


async def _send(running: Running, *, batches: int, records: int) -> None:
    """Numbered records, each batch awaited before the next is sent."""
    producer = AIOKafkaProducer(bootstrap_servers=running.address, **producer_settings(running.is_embedded))
    await producer.start()
    try:
        for batch in range(batches):
            numbers = range(batch * records, (batch + 1) * records)
            sent = [await producer.send(COMMANDS.topic, b"%d" % number, partition=0) for number in numbers]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()
