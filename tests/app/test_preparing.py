"""Preparing tables and topics before anything starts, and the output of the command."""

import asyncio
import json

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import CliRunner, Result

from app.cli import cli
from broker.topic_faults import REPLICATION, TopicFault
from broker.topic_repair import repairable
from broker.topics import IN_SYNC, STAMPED_BY_THE_BROKER, admin_client, topic_settings
from schemas.topics import DEAD_LETTERS, PUBLISHED, book_changelog_topic, commands_topic, events_topic, fills_topic
from store.schema.migrate import migration_files
from tests.conftest import Broker


async def test_the_current_migration_is_printed(database: str) -> None:
    """The newest of this release, also where there was nothing left to do."""
    result = await _type({"DATABASE_URL": database}, "migrate")
    assert (result.exit_code, result.output) == (0, f"the database is at migration {migration_files()[-1].name[:4]}\n")


async def test_the_existing_topics_are_printed(database: str, empty_broker: Broker) -> None:
    """Those of every listed market and the one for dead letters; a second time they are there already."""
    environment = {"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}
    kinds = (commands_topic, events_topic, *PUBLISHED, book_changelog_topic)
    names = [*(kind(market) for market in ("BTC-PERP", "ETH-PERP") for kind in kinds), DEAD_LETTERS]
    for _ in range(2):
        result = await _type(environment, "topics")
        assert (result.exit_code, result.output) == (0, f"{len(names)} topics exist: {', '.join(names)}\n")


async def test_a_topic_that_differs_is_named(database: str, empty_broker: Broker) -> None:
    """What was made by other means stays as it is; each difference is a line, and the command fails."""
    await _make(
        empty_broker, events_topic("BTC-PERP"), {"cleanup.policy": "compact", "retention.ms": "1000"}, partitions=2
    )
    result = await _type({"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}, "topics")
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == [
        "engine.events.BTC-PERP: the number of partitions is 2, must be 1",
        "engine.events.BTC-PERP: cleanup.policy is compact, must be delete",
        "engine.events.BTC-PERP: retention.ms is 1000, must be 604800000",
        "engine.events.BTC-PERP: message.timestamp.type is CreateTime, must be LogAppendTime",
        "engine.events.BTC-PERP: compression.type is producer, must be uncompressed",
        "`topics --repair` sets 4 of these",
    ]


async def test_settings_of_an_earlier_release_are_repaired(database: str, empty_broker: Broker) -> None:
    """Each setting that must have a value gets it; what else the operator has set stays, and so do partitions."""
    environment = {"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}
    fills, events = fills_topic("BTC-PERP"), events_topic("ETH-PERP")
    await _make(empty_broker, fills, {"retention.bytes": "123456789", "max.message.bytes": "1000"})
    await _make(empty_broker, events, {"compression.type": "gzip", **STAMPED_BY_THE_BROKER}, partitions=2)
    result = await _type(environment, "topics", "--repair", "--reason", "upgrade")
    assert result.exit_code == 1
    assert sorted(result.output.splitlines()[1:]) == [
        f"{events}: the number of partitions is 2, must be 1",
        f"{fills}: compression.type is uncompressed now, was producer",
        f"{fills}: max.message.bytes is 2097152 now, was 1000",
        f"{fills}: message.timestamp.type is LogAppendTime now, was CreateTime",
    ]
    kept = await _settings(empty_broker, fills, "retention.bytes") | await _settings(
        empty_broker, events, "compression.type"
    )
    assert kept == {"retention.bytes": "123456789", "compression.type": "gzip"}
    again = await _type(environment, "topics", "--repair")
    assert again.output.splitlines()[1:] == [f"{events}: the number of partitions is 2, must be 1"]
    (act,) = json.loads((await _type(environment, "acts", "--json")).output)  # nothing was changed the second time
    assert (act["action"], act["reason"]) == ("REPAIR_TOPICS", "upgrade")
    assert act["before"][f"{fills} max.message.bytes"] == "1000"
    assert act["after"][f"{fills} max.message.bytes"] == "2097152"


async def test_a_rebuild_is_in_the_log_of_operators(database: str, empty_broker: Broker) -> None:
    """Where each market continues, with the reason."""
    environment = {"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}
    rebuilt = await _type(environment, "rebuild", "--yes", "--reason", "the disk of the broker is lost")
    assert rebuilt.exit_code == 0, rebuilt.output
    (act,) = json.loads((await _type(environment, "acts", "--json")).output)
    assert (act["action"], act["reason"]) == ("REBUILD", "the disk of the broker is lost")
    assert act["after"] == {name: {"epoch": 2, "afterCommand": 0} for name in ("BTC-PERP", "ETH-PERP")}


def test_a_topic_with_too_few_replicas_keeps_its_number_of_in_sync_replicas() -> None:
    """With one replica, two that must be in sync would refuse every record."""
    wanted = dict(topic_settings(["BTC-PERP"], 3))
    fills, events = fills_topic("BTC-PERP"), events_topic("BTC-PERP")
    thin = TopicFault(fills, REPLICATION, "3", "1", is_fatal=False)
    in_sync = [TopicFault(topic, IN_SYNC, "2", "1", is_fatal=False) for topic in (fills, events)]
    assert repairable([thin, *in_sync], wanted) == in_sync[1:]


def test_two_of_three_brokers_must_have_a_record() -> None:
    """One broker may be away; with fewer than three, none may, and the broker's default holds."""
    assert {settings["min.insync.replicas"] for _, settings in topic_settings(["BTC-PERP"], 3)} == {"2"}
    assert not any("min.insync.replicas" in settings for _, settings in topic_settings(["BTC-PERP"], 2))


async def _make(broker: Broker, topic: str, settings: dict[str, str], *, partitions: int = 1) -> None:
    made = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=settings)
    async with admin_client(broker.bootstrap) as client:
        await client.create_topics([made])


async def _settings(broker: Broker, topic: str, *names: str) -> dict[str, str]:
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(names))
    async with admin_client(broker.bootstrap) as client:
        (answer,) = await client.describe_configs([asked])
    return {entry[0]: entry[1] for _, _, _, _, entries in answer.resources for entry in entries}


async def _type(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, words)
