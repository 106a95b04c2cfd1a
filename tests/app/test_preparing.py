"""Preparing tables and topics before anything starts, and the output of the command."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner, Result

from app.cli import cli
from broker.topics import topic_settings
from schemas.topics import DEAD_LETTERS, book_changelog_topic, commands_topic, events_topic, fills_topic
from store.schema.migrate import migration_files
from tests.conftest import Broker


async def test_the_current_migration_is_printed(database: str) -> None:
    """The newest of this release, also where there was nothing left to do."""
    result = await _type({"DATABASE_URL": database}, "migrate")
    assert (result.exit_code, result.output) == (0, f"the database is at migration {migration_files()[-1].name[:4]}\n")


async def test_the_existing_topics_are_printed(database: str, empty_broker: Broker) -> None:
    """Those of every listed market and the one for dead letters; a second time they are there already."""
    environment = {"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}
    kinds = (commands_topic, events_topic, fills_topic, book_changelog_topic)
    names = [*(kind(market) for market in ("BTC-PERP", "ETH-PERP") for kind in kinds), DEAD_LETTERS]
    for _ in range(2):
        result = await _type(environment, "topics")
        assert (result.exit_code, result.output) == (0, f"9 topics exist: {', '.join(names)}\n")


async def test_a_topic_that_differs_is_named(database: str, empty_broker: Broker) -> None:
    """What was made by other means stays as it is; each difference is a line, and the command fails."""
    client = AIOKafkaAdminClient(bootstrap_servers=empty_broker.bootstrap)
    await client.start()
    settings = {"cleanup.policy": "compact", "retention.ms": "1000"}
    await client.create_topics(
        [NewTopic(events_topic("BTC-PERP"), num_partitions=2, replication_factor=1, topic_configs=settings)]
    )
    await client.close()
    result = await _type({"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}, "topics")
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == [
        "engine.events.BTC-PERP: the number of partitions is 2, must be 1",
        "engine.events.BTC-PERP: cleanup.policy is compact, must be delete",
        "engine.events.BTC-PERP: retention.ms is 1000, must be 604800000",
        "engine.events.BTC-PERP: message.timestamp.type is CreateTime, must be LogAppendTime",
        "engine.events.BTC-PERP: compression.type is producer, must be uncompressed",
    ]


def test_two_of_three_brokers_must_have_a_record() -> None:
    """One broker may be away; with fewer than three, none may, and the broker's default holds."""
    assert {settings["min.insync.replicas"] for _, settings in topic_settings(["BTC-PERP"], 3)} == {"2"}
    assert not any("min.insync.replicas" in settings for _, settings in topic_settings(["BTC-PERP"], 2))


async def _type(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, words)
