"""Compares the topics of a broker with what they must be, and names each difference."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError

from broker.topics import admin_client

REPLICATION = "the replication"
ALSO_SOUND = {("compression.type", "gzip")}
"""Other values that an operator may choose: every client of ours reads gzip."""


class TopicFault(NamedTuple):
    """A difference of a topic; `is_fatal`: work on it would lose or refuse records, so its market rests."""

    topic: str
    what: str
    expected: str
    found: str
    is_fatal: bool

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, must be {self.expected}"


async def read_topic_faults(
    bootstrap: str, wanted: Mapping[str, Mapping[str, str]], replication: int
) -> list[TopicFault]:
    """The faults of these topics, given with their settings. What the client has no right to see is left out."""
    async with admin_client(bootstrap) as client:
        described = {each["topic"]: each for each in await client.describe_topics()}  # all: naming one may create it
        existing = {name: settings for name, settings in wanted.items() if name in described}
        configs = await _read_configs(client, existing) if existing else {}
    faults = []
    for name, settings in wanted.items():
        if name not in described or described[name]["error_code"] == UnknownTopicOrPartitionError.errno:
            faults.append(TopicFault(name, "the topic", "there", "missing", is_fatal=True))
        else:
            faults += _shape_faults(name, described[name]["partitions"], replication)
            faults += _setting_faults(name, settings, configs.get(name, {}))
    return faults


def _shape_faults(name: str, partitions: list[Any], replication: int) -> Iterable[TopicFault]:
    if len(partitions) != 1:
        yield TopicFault(name, "the number of partitions", "1", str(len(partitions)), is_fatal=True)
    replicas = min((len(each["replicas"]) for each in partitions), default=0)
    if replicas < replication:
        yield TopicFault(name, REPLICATION, str(replication), str(replicas), is_fatal=False)


def _setting_faults(name: str, settings: Mapping[str, str], found: Mapping[str, str]) -> Iterable[TopicFault]:
    for what, expected in settings.items():
        value = found.get(what, expected)
        if value != expected and (what, value) not in ALSO_SOUND:
            is_fatal = what == "cleanup.policy" or (what == "max.message.bytes" and int(value) < int(expected))
            yield TopicFault(name, what, expected, value, is_fatal)


async def _read_configs(
    client: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """These settings of these topics, as the broker has them."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(settings)) for name, settings in wanted.items()]
    answers = await client.describe_configs(resources)
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if code == 0
    }
