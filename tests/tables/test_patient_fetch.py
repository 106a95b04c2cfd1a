"""However long the embedded broker needs to find a record, a patient fetch gets it, and is quick again afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.log_tail import last_record, read_all, record_at
from app.local.broker import EmbeddedBroker
from app.topics import create_topics
from schemas import topics
from tables import patient_fetch
from tables.embedded_broker import producer_settings
from tables.patient_fetch import PatientFetch

LONG = TopicPartition(topics.commands_topic("BTC-PERP"), 0)
SHORT = TopicPartition(topics.commands_topic("ETH-PERP"), 0)
BATCHES = 10_000
WITHIN_S = 20.0
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """An embedded broker, one topic of which has 10,000 batches of a record, which takes 7 ms to look through."""
    broker = EmbeddedBroker(tmp_path_factory.mktemp("broker") / "log")
    address = await broker.start()
    await create_topics(address, ["BTC-PERP", "ETH-PERP"], is_embedded=True)
    await _send(address, LONG, BATCHES)
    await _send(address, SHORT, 10)
    yield address
    await broker.stop()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetches that begin with a wait of 1 ms: too little for the long topic, as 20 ms are for one five times as long."""
    monkeypatch.setattr(patient_fetch, "FETCH_WAIT_MS_MIN", 1)


async def test_a_record_far_back_in_a_long_log_is_found(address: str) -> None:
    """The readers without a group get the last record, any record, and all of them."""
    async with asyncio.timeout(WITHIN_S):
        assert await last_record(address, LONG.topic) == b"%d" % (BATCHES - 1)
        found = await record_at(address, LONG.topic, 5_000)
        assert found is not None
        assert found.value == b"5000"
        assert len(await read_all(address, LONG.topic)) == BATCHES


async def test_a_long_log_is_read_beside_a_busy_short_one(address: str) -> None:
    """A consumer of both topics gets the long one's records while there is always something in the short one."""
    async with _consumer(address, LONG, SHORT) as consumer, asyncio.timeout(WITHIN_S):
        consumer.seek(LONG, BATCHES - 1)
        while LONG not in await consumer.getmany(timeout_ms=100):
            consumer.seek(SHORT, 0)


async def test_the_wait_is_short_again_when_records_come_easily(address: str) -> None:
    """It grew for the long topic; a few records of the short one bring it back to the shortest."""
    async with _consumer(address, LONG) as consumer, asyncio.timeout(WITHIN_S):
        consumer.seek(LONG, BATCHES - 1)
        await consumer.getone(LONG)
        assert consumer._fetcher._fetch_max_wait_ms > 1
        consumer.assign([SHORT])
        while consumer._fetcher._fetch_max_wait_ms > 1:
            consumer.seek(SHORT, 0)
            await consumer.getone(SHORT)


async def _send(address: str, partition: TopicPartition, batches: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, **producer_settings(is_embedded=True)) as producer:
        for number in range(batches):
            await producer.send_and_wait(partition.topic, b"%d" % number, partition=partition.partition)


@asynccontextmanager
async def _consumer(address: str, *partitions: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest")
    async with consumer:
        PatientFetch(consumer)
        consumer.assign(list(partitions))
        yield consumer
