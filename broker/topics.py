"""The topics of the exchange, created with explicit settings: one partition each, so one market has one owner."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from broker.address import client_settings
from schemas import topics

DAY_MS = 24 * 60 * 60 * 1000
TOPIC_RECORD_BYTES_MAX = 2 * 2**20
STAMPED_BY_THE_BROKER = {"message.timestamp.type": "LogAppendTime"}
"""A producer whose clock is wrong must not have its records deleted too early, or refused as being of the future."""
MIN_IN_SYNC = 2  # of three replicas: one broker may be away, and an acknowledged record is on two
IN_SYNC = "min.insync.replicas"
_EVERY = {
    "max.message.bytes": str(TOPIC_RECORD_BYTES_MAX),
    **STAMPED_BY_THE_BROKER,
    "compression.type": "uncompressed",  # whatever codec a record comes in: our client reads gzip only (docs/performance.md)
}
LOG = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS), **_EVERY}
BOOK = {  # never expired: time retention on a changelog breaks its recovery; small segments, so that it stays small
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * 2**20),
    "segment.ms": str(10 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": str(60 * 60 * 1000),
    **_EVERY,
}
DEAD = {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS), **_EVERY}


class TopicRefused(Exception):
    """The broker would not create a topic."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"{topic}: {reason}")
        self.topic = topic
        self.reason = reason


@asynccontextmanager
async def admin_client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for the administration of the broker, closed afterwards; KafkaConnectionError when the broker is unavailable."""
    client = AIOKafkaAdminClient(**client_settings(bootstrap))
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def create_topics(bootstrap: str, markets: list[str], *, replication: int = 1) -> list[str]:
    """Create the missing topics of the markets and return all names; existing ones stay as they are. Raises TopicRefused."""
    wanted = [
        NewTopic(name, num_partitions=1, replication_factor=replication, topic_configs=settings)
        for name, settings in topic_settings(markets, replication)
    ]
    async with admin_client(bootstrap) as client:
        answer = await client.create_topics(wanted)
    for topic, code, *reason in answer.topic_errors:
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise TopicRefused(topic, str(reason[0] if reason and reason[0] else for_code(code).__name__))
    return [topic.name for topic in wanted]


def topic_settings(markets: Iterable[str], replication: int = 1) -> Iterator[tuple[str, dict[str, str]]]:
    """Every topic of these markets with its settings."""
    in_sync = {IN_SYNC: str(MIN_IN_SYNC)} if replication > MIN_IN_SYNC else {}
    for market in markets:
        yield topics.commands_topic(market), LOG | in_sync
        yield topics.events_topic(market), LOG | in_sync
        for published in topics.PUBLISHED:
            yield published(market), LOG | in_sync
        yield topics.book_changelog_topic(market), BOOK | in_sync
    yield topics.DEAD_LETTERS, DEAD | in_sync


async def cluster_id(bootstrap: str) -> str:
    """The id of the cluster at an address: another id means another, perhaps empty, broker."""
    async with admin_client(bootstrap) as client:
        return str((await client.describe_cluster())["cluster_id"])
