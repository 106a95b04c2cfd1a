"""The loss of the whole broker: when a rebuild may start, and what it leads to."""

import os
from pathlib import Path

import pytest

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.rebuild import RebuildRefused, check_broker, rebuild
from agents.relay import Relay
from agents.verify import verify
from agents.worker.presence import present
from broker.producer import AckedProducer
from broker.topics import cluster_id
from schemas.fills import encode_fill
from schemas.topics import fills_topic
from tests.agents.stream import hosted, one_hash_each, stream_on
from tests.agents.test_engine_faults import is_matched
from tests.conftest import Broker
from tests.eventually import eventually
from tests.schemas.test_fills import FILLS

PARTS = (Relay, engine_unit, projection_unit)


async def test_a_rebuild_on_an_empty_broker_gives_the_same_events_with_the_same_ids(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path
) -> None:
    """Matched and not yet persisted when the logs are lost: every event comes again as it was, and verify agrees."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await stream.trade(60)
            await stream.drained()
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit))):
            await stream.trade(40)
            await eventually(lambda: is_matched(stream, 101))
        before = one_hash_each(await stream.records())

        await stream.move_to(empty_broker)
        ours = await cluster_id(stream.settings.bootstrap)
        (moved,) = await rebuild(stream.settings, [stream.market], ours)
        await check_broker(stream.settings, ours)
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            progress = await stream.drained()
        again = {
            seq: event
            for record in await stream.records()
            for seq, event in enumerate(record.events, record.first_event_seq)
        }
        assert (moved.epoch, moved.after_command) == (2, 61)
        assert sorted(again) == list(range(min(again), max(before) + 1))
        assert progress.event_hash == before[progress.event_seq]
        report = await verify(stream.settings, stream.market)
    assert report.differences == []
    assert (report.from_command, report.commands) == (61, 40)


async def test_a_rebuild_forgets_a_snapshot_ahead_of_what_is_persisted(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path
) -> None:
    """An engine left it in a database restored from its past: what comes now under these sequences is something else."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await stream.trade(10)
            progress = await stream.drained()
        await stream.session.execute(
            "INSERT INTO engine_snapshots SELECT market_id, command_seq + 9, event_seq + 9, 'x', 'x', '', created_at"
            " FROM engine_snapshots WHERE market_id = $1 AND command_seq = $2",
            progress.market_id,
            progress.command_seq,
        )
        await stream.move_to(empty_broker)
        await rebuild(stream.settings, [stream.market], "another")
        newest = "SELECT max(command_seq) FROM engine_snapshots WHERE market_id = $1"
        assert await stream.session.fetchval(newest, progress.market_id) == progress.command_seq


async def test_a_rebuild_is_refused_while_workers_run_and_on_a_broker_that_holds_something(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a log of ours nor of others is written over, and no worker runs at the same time; the epoch stays."""
    monkeypatch.setattr("agents.rebuild.CLAIM_WITHIN_S", 0.2)
    async with stream_on(broker, database, tmp_path) as stream:
        async with present("engine", stream.settings):
            with pytest.raises(RebuildRefused, match=rf"workers run: stop them first \(engine \S+:{os.getpid()}\)"):
                await rebuild(stream.settings, [stream.market], "another")
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            await stream.drained()
        with pytest.raises(RebuildRefused, match="is not empty"):
            await rebuild(stream.settings, [stream.market], await cluster_id(stream.settings.bootstrap))
        assert (await stream.progress()).epoch == 1


async def test_a_rebuild_is_refused_where_fills_are_published_already(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The publisher continues where the stream ends: after a foreign one it would leave out as many fills of ours."""
    async with stream_on(broker, database, tmp_path) as stream:
        producer = AckedProducer(stream.settings.bootstrap)
        await producer.start()
        await producer.send(fills_topic(stream.market), encode_fill(FILLS["trade"]), key=b"")
        await producer.stop()
        with pytest.raises(RebuildRefused, match=f"{fills_topic(stream.market)} is not empty"):
            await rebuild(stream.settings, [stream.market], await cluster_id(stream.settings.bootstrap))
