"""Sets the settings of topics to what they must be. Partitions, replicas and missing topics are left to the operator."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from broker.topic_faults import REPLICATION, TopicFault
from broker.topics import IN_SYNC, TopicRefused, admin_client

_SET_ON_THE_TOPIC = 1
"""The source of a setting that belongs to the topic itself, in Kafka's answer; others come from the broker."""


def repairable(faults: Iterable[TopicFault], wanted: Mapping[str, Mapping[str, str]]) -> list[TopicFault]:
    """The faults that are settings. Not `min.insync.replicas` of a topic with too few replicas: it would refuse every record."""
    faults = list(faults)
    thin = {fault.topic for fault in faults if fault.what == REPLICATION}
    return [
        fault
        for fault in faults
        if fault.what in wanted[fault.topic] and not (fault.what == IN_SYNC and fault.topic in thin)
    ]


async def repair_settings(bootstrap: str, faults: Iterable[TopicFault]) -> None:
    """Give these settings the values expected; what else an operator has set on the topics stays. Raises TopicRefused."""
    changes: dict[str, dict[str, str]] = {}
    for fault in faults:
        changes.setdefault(fault.topic, {})[fault.what] = fault.expected
    if not changes:
        return
    async with admin_client(bootstrap) as client:
        own = await _own_settings(client, changes)
        # the request replaces all settings of a topic
        altered = [
            ConfigResource(ConfigResourceType.TOPIC, topic, own[topic] | change) for topic, change in changes.items()
        ]
        for answer in await client.alter_configs(altered):
            _raise_refusals(answer)


async def _own_settings(client: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """What is set on each topic itself."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    found = {}
    for answer in await client.describe_configs(asked):
        _raise_refusals(answer)
        for _, _, _, topic, entries in answer.resources:
            found[topic] = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_THE_TOPIC}
    return found


def _raise_refusals(answer: Any) -> None:
    for code, reason, _, topic, *_ in answer.resources:
        if code:
            raise TopicRefused(topic, str(reason or for_code(code).__name__))
