"""What goes wrong with a topic, and what an operator does about it."""

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from broker.topics import LOG, admin_client
from tests.eventually import eventually

INTERNAL = {"__consumer_offsets", "__transaction_state", "__share_group_state"}
PROBE = b"probe"
"""The key of a record that a topic took before it applied its new limit."""


async def limit_records(bootstrap: str, topic: str, size: str) -> None:
    """Let a topic refuse records above this size, from the moment on that this returns."""
    await _set_limit(bootstrap, topic, size)
    await eventually(lambda: _is_refused(bootstrap, topic, int(size)), every_s=0.2)


async def lift_limit(bootstrap: str, topic: str) -> None:
    """Let a topic take what it must take."""
    await _set_limit(bootstrap, topic, LOG["max.message.bytes"])


async def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic, and wait until the broker knows it no longer."""
    async with admin_client(bootstrap) as client:
        await _delete(client, {topic})


async def delete_all_topics(bootstrap: str) -> None:
    """Delete every topic but Kafka's own."""
    async with admin_client(bootstrap) as client:
        await _delete(client, set(await client.list_topics()) - INTERNAL)


async def _delete(client: AIOKafkaAdminClient, topics: set[str]) -> None:
    async def are_gone() -> bool:
        return not topics & set(await client.list_topics())

    await client.delete_topics(list(topics))
    await eventually(are_gone)


async def _set_limit(bootstrap: str, topic: str, size: str) -> None:
    settings = LOG | {"max.message.bytes": size}
    async with admin_client(bootstrap) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=settings)])


async def _is_refused(bootstrap: str, topic: str, size: int) -> bool:
    """Whether the topic's leader applies its limit: it learns of one after the controller has answered."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as probe:
        try:
            await probe.send_and_wait(topic, b" " * size, key=PROBE)
        except MessageSizeTooLargeError:
            return True
    return False
