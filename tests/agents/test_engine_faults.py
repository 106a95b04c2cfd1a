"""What happens to a market when its engine, its log or its broker fails."""

import asyncio
import random
import subprocess
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from agents.matching.app import engine_unit
from agents.matching.worker import Matcher
from agents.projection.app import projection_unit
from agents.rebuild import check_broker, needs_rebuild, rebuild
from agents.relay import Relay
from agents.verify import verify
from agents.worker.fail_stop import EXIT_WRONG
from broker import event_records
from broker.event_records import hashes_in
from broker.producer import AckedProducer
from broker.reader import last_record, stream_records
from exchange.engine.log.snapshot_format import load
from schemas.topics import book_changelog_topic, commands_topic, events_topic
from schemas.wire import CommandRecord, NumberedCommand, decode_event_record, encode
from store.command_log.broker_identity import claim_cluster
from store.command_log.outbox import read_commands, set_cursor
from store.markets.halts import read_halted
from tables.book_table import snapshot_entries, snapshot_of
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


async def keep_trading(stream: Stream, until: asyncio.Event) -> None:
    """Accept orders all the time."""
    while not until.is_set():
        await stream.trade(20)
        await asyncio.sleep(0.02)


async def append_records(stream: Stream, records: list[list[int]]) -> None:
    """Write these commands into the command log as records, as a relay would."""
    progress = await stream.progress()
    bodies = dict(await read_commands(stream.session, progress.market_id, 0, 10_000))
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    for seqs in records:
        commands = [NumberedCommand(seq, msgspec.Raw(bodies[seq])) for seq in seqs]
        record = CommandRecord(stream.market, progress.epoch, commands)
        await producer.send(commands_topic(stream.market), encode(record), key=b"")
    await producer.stop()


async def append_snapshot(stream: Stream, state: bytes) -> None:
    """Write a state into the changelog of the book table, as an engine would."""
    taken = snapshot_of(state, load(state), epoch=1, offset=0)
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    await producer.send_all(book_changelog_topic(stream.market), snapshot_entries(taken))
    await producer.stop()


async def is_matched(stream: Stream, seq: int) -> bool:
    """Whether the events of a command are in the log."""
    value = await last_record(stream.settings.bootstrap, events_topic(stream.market))
    return value is not None and decode_event_record(value).last_command_seq >= seq


async def has_passed(stream: Stream, seq: int) -> bool:
    """Whether a command is persisted."""
    return (await stream.progress()).command_seq >= seq


def exit_code(worker: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process, once it has ended."""
    return worker.poll()


async def test_a_killed_engine_leaves_no_hole_and_no_other_event(broker: Broker, database: str, tmp_path: Path) -> None:
    """kill -9 under load, twice: every command is answered once, each event has one hash; verify agrees, also during the load."""
    async with stream_on(broker, database, tmp_path) as stream:
        enough = asyncio.Event()
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            load = asyncio.create_task(keep_trading(stream, enough))
            for _ in range(2):
                engine = stream.spawn("engine")
                persisted = (await stream.progress()).command_seq
                await eventually(lambda: has_passed(stream, persisted + 100))  # noqa: B023 - awaited here
                outcome = await verify(stream.settings, stream.market)
                assert outcome.differences == []
                assert outcome.to_command >= persisted + 100
                engine.kill()
                engine.wait()
            enough.set()
            await load
            stream.spawn("engine")
            progress = await stream.drained()
        hashes = one_hash_each(await stream.records())
        assert hashes[progress.event_seq] == progress.event_hash
        assert await stream.unfinished() == 0
        report = await verify(stream.settings, stream.market)
        assert report.differences == []
        assert (report.horizon, report.commands, report.events) == ("genesis", progress.command_seq, progress.event_seq)
        assert report.fills > 0
        assert report.snapshots > 0


async def test_a_standby_takes_over_when_the_owner_is_killed(broker: Broker, database: str, tmp_path: Path) -> None:
    """A second process for the same market waits; the group hands the market over, and nothing is written twice."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            owner = stream.spawn("engine")
            await stream.trade(40)
            await stream.drained()
            stream.spawn("engine")
            await stream.trade(40)
            await stream.drained()
            owner.kill()
            await stream.trade(40)
            assert (await stream.drained()).command_seq == 121
        one_hash_each(await stream.records())


async def test_an_engine_that_finds_no_topics_goes_to_work_when_they_are_there(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """A broker that has just started reports topics it has as missing: the market had no owner for five minutes."""
    async with stream_on(broker, database, tmp_path, has_topics=False) as stream:
        engine = stream.spawn("engine")
        await eventually(lambda: commands_topic(stream.market) in stream.log_of(engine))
        await stream.move_to(broker)
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            await stream.trade(20)
            await stream.drained()


async def test_an_engine_can_be_stopped_while_it_starts(broker: Broker, database: str, tmp_path: Path) -> None:
    """SIGTERM is obeyed at every moment, also before the market is recovered."""
    async with stream_on(broker, database, tmp_path) as stream:
        engine = stream.spawn("engine")
        await eventually(lambda: "Joined group" in stream.log_of(engine) or "Subscribed" in stream.log_of(engine))
        engine.terminate()
        assert await eventually(lambda: engine.poll() is not None)
        assert engine.returncode == 0


async def test_an_engine_that_is_stopped_leaves_its_snapshot_in_both_places(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """SIGTERM: the current record is finished, the state is saved, the process ends with 0 within ten seconds."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            engine = stream.spawn("engine")
            await stream.trade(50)
            last = (await stream.drained()).command_seq
            engine.terminate()
            assert await eventually(lambda: engine.poll() is not None)
            assert engine.returncode == 0
        saved = await stream.session.fetchval("SELECT max(command_seq) FROM engine_snapshots")
        assert saved == last


async def test_commands_delivered_up_to_five_times_count_once(broker: Broker, database: str, tmp_path: Path) -> None:
    """Repeats, in any packing, have no second effect."""
    chance = random.Random(5)  # noqa: S311 - the same deliveries on every run
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(200)
        async with hosted(engine_unit(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            for start in range(1, 202, 20):
                seqs = list(range(max(1, start - chance.randint(0, 9)), min(start + 20, 202)))
                await append_records(stream, [seqs] * chance.randint(1, 5))
            progress = await stream.drained()
        assert progress.command_seq == 201
        hashes = one_hash_each(await stream.records())
        assert max(hashes) == progress.event_seq


async def test_a_command_the_log_lost_is_asked_for_and_sent_again(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The log lost records: the engine sees the gap, sets the relay back, and continues."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(60)
        market_id = (await stream.progress()).market_id
        await append_records(stream, [list(range(1, 11)), list(range(31, 41)), list(range(41, 51))])
        await set_cursor(stream.session, market_id, 50)
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit, projection_unit))):
            assert (await stream.drained()).command_seq == 61
        one_hash_each(await stream.records())


async def test_a_command_that_comes_again_with_other_bytes_halts_the_market(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The database was restored from its past: no worker continues as if nothing had happened, and none crashes."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(9)
        engine = stream.spawn("engine")
        async with hosted(projection_unit(stream.market, stream.settings)):
            await append_records(stream, [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
            market_id = (await stream.drained()).market_id
        await stream.session.execute(
            "UPDATE outbox SET payload = other.payload FROM outbox other"
            " WHERE (outbox.command_seq, other.command_seq) = (10, 9) AND outbox.market_id = $1 AND other.market_id = $1",
            market_id,
        )
        await append_records(stream, [[10]])
        assert await eventually(lambda: read_halted(stream.session)) == {
            stream.market: f"command {stream.market}:10 came again with other bytes"
        }
        standby = stream.spawn("engine")
        engine.terminate()
        await eventually(lambda: f"{stream.market} is HALTED" in stream.log_of(standby))
        assert (engine.wait(), standby.poll()) == (0, None)


async def test_a_record_of_another_epoch_ends_the_process(broker: Broker, database: str, tmp_path: Path) -> None:
    """A log from before a rebuild, or of another exchange, is not ours."""
    async with stream_on(broker, database, tmp_path) as stream:
        await append_records(stream, [[1]])
        await stream.session.execute("UPDATE markets SET epoch = 2 WHERE name = $1", stream.market)
        engine = stream.spawn("engine")
        assert await eventually(lambda: exit_code(engine)) == EXIT_WRONG


async def test_a_snapshot_beyond_the_end_of_the_log_is_not_taken(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path
) -> None:
    """A log that lost its tail invalidates the snapshots after that tail: otherwise readers would find a hole."""
    async with stream_on(broker, database, tmp_path) as stream:
        parts = (Relay, engine_unit, projection_unit)
        async with hosted(*(part(stream.market, stream.settings) for part in parts)):
            await stream.trade(50)
            await stream.drained()
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit))):
            await stream.trade(50)
            await eventually(lambda: is_matched(stream, 101))
        state = await stream.session.fetchval("SELECT state FROM engine_snapshots ORDER BY command_seq DESC LIMIT 1")

        await stream.move_to(empty_broker)
        await append_snapshot(stream, state)
        await append_records(stream, [[101]])
        async with hosted(*(part(stream.market, stream.settings) for part in parts)):
            await stream.trade(10)
            assert (await stream.drained()).command_seq == 111
        assert min(record.first_command_seq for record in await stream.records()) == 52


async def test_an_empty_broker_gives_the_same_events_again(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path
) -> None:
    """The whole broker is lost: rebuilt from PostgreSQL, the market continues, and what is repeated is the same."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit, projection_unit))):
            await stream.trade(100)
            await stream.drained()
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit))):
            await stream.trade(60)  # matched on the first broker, not yet persisted when it is lost
            await eventually(lambda: is_matched(stream, 161))
        before = one_hash_each(await stream.records())

        await stream.move_to(empty_broker)
        await claim_cluster(stream.session, "the lost one")
        assert await needs_rebuild(stream.settings, "another")
        await rebuild(stream.settings, [stream.market], "another")
        await check_broker(stream.settings, "another")
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit, projection_unit))):
            await stream.trade(40)
            progress = await stream.drained()
        again = {seq: chain for record in await stream.records() for seq, chain in hashes_in(record)}
        assert progress.epoch == 2
        assert {seq: chain for seq, chain in again.items() if seq in before}.items() <= before.items()
        assert max(before) > min(again) > 1, "the snapshot spared the beginning, the rest was matched again"
        assert progress.event_hash == again[progress.event_seq]


async def test_an_owner_that_is_released_between_two_event_records_writes_no_other(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log may have lost its tail since, and the next owner have noticed: a record of ours would hide the hole."""
    monkeypatch.setattr(event_records, "EVENT_RECORD_BYTES_MAX", 400)
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(40)
        progress = await stream.progress()
        bodies = await read_commands(stream.session, progress.market_id, 0, 40)
        record = CommandRecord(stream.market, 1, [NumberedCommand(seq, msgspec.Raw(body)) for seq, body in bodies])
        table = SimpleNamespace(data=SimpleNamespace(data={}))
        matcher = Matcher(stream.market, stream.settings, table)
        await matcher.recover()
        monkeypatch.setattr("agents.matching.worker.passing", lambda _: matcher.release())
        message = SimpleNamespace(value=encode(record), partition=0, offset=0, headers=[], topic="")
        await matcher.handle(SimpleNamespace(message=message))
        assert len([each async for each in stream_records(stream.settings.bootstrap, events_topic(stream.market))]) == 1
        await matcher.disconnect()
