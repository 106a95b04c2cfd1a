"""Preparing tables and topics before anything starts, and the output of the command."""

import asyncio

from click.testing import CliRunner, Result

from app.cli import cli
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


async def _type(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, words)
