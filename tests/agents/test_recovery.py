"""What an engine reads and loads when it begins with a market again."""

import gc
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.matching import recovery
from agents.matching.app import MarketEngine, engine_unit
from agents.matching.market_assignment import MarketAssignment
from agents.matching.recovery import begin_assignment
from agents.matching.restoring import restore_table
from agents.projection.app import projection_unit
from agents.relay import Relay
from broker.kept_readers import reading
from broker.reader import end_offset, unnoticed
from exchange.engine.market import Market
from schemas.topics import commands_topic
from tests.agents.stream import Stream, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


async def matched_and_stopped(stream: Stream) -> None:
    """Its orders are matched and persisted, and its engine has stopped in good order."""
    async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit, projection_unit))):
        await stream.trade(60)
        await stream.drained()


async def begun(stream: Stream) -> MarketAssignment:
    """Begin as an engine does."""
    entries: dict[bytes, bytes] = {}
    await restore_table(stream.settings.bootstrap, stream.market, entries, unnoticed)
    return await begin_assignment(stream.market, stream.settings, entries)


async def test_an_engine_that_starts_again_reads_no_command_that_its_snapshot_covers(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The copy in PostgreSQL is as new as the table's, and names no offset: with it the whole log would be read again."""
    async with stream_on(broker, database, tmp_path) as stream:
        await matched_and_stopped(stream)
        assert await stream.session.fetchval("SELECT max(command_seq) FROM engine_snapshots") > 0
        assignment = await begun(stream)
        log = TopicPartition(commands_topic(stream.market), 0)
        async with reading(stream.settings.bootstrap, log) as reader:
            assert assignment.offset == await end_offset(reader, log) - 1


async def test_only_the_snapshot_that_an_engine_continues_from_is_loaded(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one in the table and the copy in PostgreSQL stay bytes."""
    loaded = list[Market]()

    def load(state: bytes) -> Market:
        loaded.append(loading(state))
        return loaded[-1]

    loading = recovery.load
    async with stream_on(broker, database, tmp_path) as stream:
        await matched_and_stopped(stream)
        monkeypatch.setattr(recovery, "load", load)
        assignment = await begun(stream)
        assert loaded == [assignment.market]


async def test_a_market_that_begins_leaves_its_garbage_to_the_collector(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Every market that began froze what the process held, garbage too: with each hand-over a thousand objects stayed forever."""
    async with stream_on(broker, database, tmp_path) as stream:
        frozen = gc.get_freeze_count()
        await begun(stream)
        assert gc.get_freeze_count() == frozen


async def test_an_engine_that_stops_keeps_no_snapshot(broker: Broker, database: str, tmp_path: Path) -> None:
    """Its table is part of a cycle of Faust's objects, which the collector finds much later."""
    async with stream_on(broker, database, tmp_path) as stream:
        unit = engine_unit(stream.market, stream.settings)
        async with hosted(Relay(stream.market, stream.settings), unit):
            await stream.trade(10)
            worker = unit._markets[stream.market]._worker
            assert isinstance(worker, MarketEngine)
            await eventually(lambda: worker._table.data.data)
        assert not worker._table.data.data
