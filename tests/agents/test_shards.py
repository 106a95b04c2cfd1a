"""Several markets in one shard: they come, go, rest, lag and change hands alone."""

import asyncio
import itertools
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from agents.fills.app import MarketPublisher
from agents.hosting import HostedShards
from agents.matching.app import MarketEngine
from agents.projection.app import MarketProjection
from agents.relay import Relay
from agents.shard.placement import PlacementWatch, Scope
from agents.shard.shared_producer import SharedProducer
from agents.shard.unit import ShardUnit
from agents.shard.worker import Feed
from agents.worker.host import Host
from agents.worker.metrics import RECOVERIES
from agents.worker.settings import StreamSettings
from broker.producer import AckedProducer, OutgoingRecord
from broker.shards import consumer as consuming
from broker.shards.consumer import WAITING_RECORDS_MAX
from broker.shards.split_fetches import GATHER_MIN_S
from schemas.commands import SetStatus
from schemas.market import MarketStatus
from schemas.topics import book_changelog_topic, commands_topic, events_topic, shard_app_id
from store.command_log.commands import append_command
from store.command_log.drain import drain
from store.markets.halts import halt
from store.markets.placement import place_markets, read_placement
from store.session.connect import Connection
from store.session.presence import Task, Work, read_processes
from tests.agents.stream import BEGAN_AT, Stream, hosted, one_hash_each, stream_on
from tests.agents.test_publisher import everything_is_published
from tests.agents.test_relay import relayed
from tests.conftest import Broker
from tests.eventually import eventually
from tests.topic_faults import lift_limit, limit_records

FULL = pytest.mark.chaos
SHARDED = (Work.ENGINE, Work.PROJECTION, Work.PUBLISHER)
_numbers = itertools.count(1)


def new_shard() -> str:
    """A name that no other test on this broker uses."""
    return f"s{os.getpid()}-{next(_numbers)}"


@asynccontextmanager
async def markets(broker: Broker, database: str, folder: Path, count: int = 2) -> AsyncIterator[list[Stream]]:
    """Some markets with their relays; the test chooses which workers serve them."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(stream_on(broker, database, folder)) for _ in range(count)]
        await stack.enter_async_context(hosted(*(Relay(each.market, each.settings) for each in streams)))
        yield streams


def names(streams: Sequence[Stream]) -> list[str]:
    """Their markets."""
    return [each.market for each in streams]


def shard_of(work: Work, streams: Sequence[Stream], shard: str) -> ShardUnit:
    """One kind of work for all of these markets in one shard of this process."""
    settings = streams[0].settings
    shared = SharedProducer(settings.bootstrap)
    build: Any = {
        Work.ENGINE: partial(MarketEngine, shared=shared),
        Work.PROJECTION: MarketProjection,
        Work.PUBLISHER: partial(MarketPublisher, shared=shared),
    }[work]
    return ShardUnit(work, shard, settings, build, markets=names(streams))


async def all_trade(streams: Sequence[Stream], count: int = 40) -> None:
    """Orders in each market, until they are persisted."""
    for each in streams:
        await each.trade(count)
    for each in streams:
        await each.drained()
        assert await each.unfinished() == 0


async def owners(stream: Stream, market: str, work: Work = Work.ENGINE) -> list[int]:
    """The processes that are shown as owners of a market."""
    shown = await read_processes(stream.session)
    return [each.name.pid for each in shown if Task(work, market) in each.tasks]


async def until_owned(stream: Stream, market: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until this process is the only owner of the market."""

    async def is_owner() -> bool:
        return await owners(stream, market) == [process.pid]

    await eventually(is_owner, within_s=30)


def recoveries(market: str) -> float:
    """How often this process has recovered a market."""
    return float(RECOVERIES.labels(market)._value.get())


async def test_a_market_joins_and_leaves_a_shard_and_the_others_work_on(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """One app for each kind of work; a market that comes, goes and comes again begins alone."""
    async with markets(broker, database, tmp_path, 3) as streams:
        *first, late = streams
        shard = new_shard()
        units = [shard_of(work, first, shard) for work in SHARDED]
        async with hosted(*units):
            await all_trade(first)
            begun = {market: recoveries(market) for market in names(streams)}
            for unit in units:
                await unit.place(names(streams))
            await all_trade(streams)
            for unit in units:
                await unit.place(names(first))
            await late.trade(20)
            await all_trade(first)
            assert await late.unfinished() == 20
            for unit in units:
                await unit.place(names(streams))
            await all_trade(streams)
            for each in streams:
                await everything_is_published(each)
            assert {market: recoveries(market) - begun[market] for market in names(streams)} == {
                **dict.fromkeys(names(first), 0.0),
                late.market: 2.0,
            }
        for each in streams:
            one_hash_each(await each.records())


async def test_a_standby_that_comes_and_goes_does_not_disturb_the_owner(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The group decides again twice; the owner stays the owner, and recovers nothing."""
    async with markets(broker, database, tmp_path) as streams:
        shard = new_shard()
        async with hosted(*(shard_of(work, streams, shard) for work in (Work.ENGINE, Work.PROJECTION))):
            await all_trade(streams)
            begun = [recoveries(market) for market in names(streams)]
            async with hosted(shard_of(Work.ENGINE, streams, shard)):
                await all_trade(streams)
            await all_trade(streams)
            assert [recoveries(market) for market in names(streams)] == begun
        for each in streams:
            one_hash_each(await each.records())


async def test_a_market_is_placed_elsewhere_and_back_under_load(broker: Broker, database: str, tmp_path: Path) -> None:
    """The processes of both shards follow the placement; the market that stays keeps its owner, and nothing is lost."""
    async with markets(broker, database, tmp_path) as streams:
        stays, moves = streams
        here, there = new_shard(), new_shard()
        await place_markets(stays.session, names(streams), here)
        async with hosted(shard_of(Work.PROJECTION, streams, here)):
            engines = {shard: stays.spawn("engine", shard=shard) for shard in (here, there)}
            await all_trade(streams)
            for shard in (there, here):
                trading = [asyncio.create_task(each.trade(200)) for each in streams]
                await place_markets(stays.session, [moves.market], shard)
                await until_owned(stays, moves.market, engines[shard])
                assert await owners(stays, stays.market) == [engines[here].pid]
                await asyncio.gather(*trading)
                await all_trade(streams)
            for engine in engines.values():
                engine.terminate()
                assert await asyncio.to_thread(engine.wait, 20) == 0
        assert stays.log_of(engines[here]).count(f"{stays.market} continues after command") == 1
        for each in streams:
            one_hash_each(await each.records())


async def test_a_shard_survives_its_owner_and_moves_on(broker: Broker, database: str, tmp_path: Path) -> None:
    """kill -9 of the owner: the standby takes over every market; then SIGTERM: the next one does."""
    async with markets(broker, database, tmp_path) as streams:
        shard, one = new_shard(), streams[0]
        await place_markets(one.session, names(streams), shard)
        async with hosted(shard_of(Work.PROJECTION, streams, shard)):
            owner = one.spawn("engine", shard=shard)
            await all_trade(streams)
            for end in (owner.kill, None):
                standby = one.spawn("engine", shard=shard)
                up = [f"engine-{each.market} is up" for each in streams]
                await eventually(lambda each=standby, up=up: all(line in one.log_of(each) for line in up))
                trading = [asyncio.create_task(each.trade(200)) for each in streams]
                await asyncio.sleep(0.1)
                (end or owner.terminate)()
                await asyncio.gather(*trading)
                for each in streams:
                    await until_owned(one, each.market, standby)
                await all_trade(streams)
                owner = standby
        for each in streams:
            one_hash_each(await each.records())


async def test_a_settled_market_leaves_its_shard_until_it_has_a_command_again(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all is persisted, published and in a stored snapshot; a process that starts later looks at it once, and drops it too."""
    for interval in (
        "matching.app.COPY_EVERY_S",
        "matching.app.SNAPSHOT_CHECK_S",
        "matching.snapshot_writer.AGE_MAX_S",
        "relay.TIDY_EVERY_S",
        "shard.market_work.IDLE_LOOK_S",
        "shard.placement.LOOK_EVERY_S",
    ):
        monkeypatch.setattr(f"agents.{interval}", 0.2)
    async with markets(broker, database, tmp_path) as streams:
        stays, ends = streams
        shard = new_shard()
        await place_markets(stays.session, names(streams), shard)
        for _ in range(2):
            async with following(streams, shard) as units:
                await all_trade([stays])
                if not await is_finished(ends):
                    await all_trade([ends])
                    for status in (MarketStatus.SETTLEMENT_ONLY, MarketStatus.SETTLED):
                        await append_command(ends.session, ends.market, SetStatus(BEGAN_AT, status))
                await eventually(lambda: is_finished(ends), within_s=60)
                begun = recoveries(stays.market)
                await eventually(lambda units=units: all(agents(each) == [stays.market] for each in units), within_s=30)
                await everything_is_published(ends)
                await drain(Kept(ends.session), ends.market, BEGAN_AT, 10)
                await ends.barrier()
                await eventually(lambda units=units: any(ends.market in agents(each) for each in units), within_s=30)
                await ends.drained()
                await eventually(lambda units=units: all(agents(each) == [stays.market] for each in units), within_s=60)
                await all_trade([stays])
                assert recoveries(stays.market) == begun
        for each in streams:
            one_hash_each(await each.records())


@asynccontextmanager
async def following(streams: Sequence[Stream], shard: str) -> AsyncIterator[list[ShardUnit]]:
    """A shard's engine, projection and publisher in this process, which follow the placement."""
    one = streams[0]
    units: list[ShardUnit] = []
    hosts = [Host() for _ in SHARDED]
    watches = []
    for host, work in zip(hosts, SHARDED, strict=True):

        def build(shard: str, work: Work = work) -> ShardUnit:
            units.append(shard_of(work, [one], shard))
            return units[-1]

        watches.append(PlacementWatch(Scope(shards=[shard]), one.settings, HostedShards(host, build).follow))
    async with hosted(*watches):
        await eventually(lambda: len(units) == len(SHARDED))
        try:
            yield units
        finally:
            await asyncio.gather(*(host.remove(name) for host in hosts for name in host.names))


def agents(unit: ShardUnit) -> list[str]:
    """The markets that a shard works for now."""
    return sorted(name.partition("-")[2] for name in unit.app.agents)


async def is_finished(stream: Stream) -> bool:
    """Whether a market needs no worker any more."""
    return (await read_placement(stream.session))[stream.market].is_finished


class Kept:
    """A session for a drain."""

    def __init__(self, session: Connection) -> None:
        self._session = session

    async def run(self, work: Any) -> Any:
        """Work over the session."""
        return await work(self._session)


async def test_a_quarantined_market_rests_and_the_others_trade(broker: Broker, database: str, tmp_path: Path) -> None:
    """It has an owner who leaves its log alone; the same shard matches and persists the other market."""
    async with markets(broker, database, tmp_path) as streams:
        well, ill = streams
        shard = new_shard()
        async with hosted(*(shard_of(work, streams, shard) for work in (Work.ENGINE, Work.PROJECTION))):
            await all_trade(streams)
        await halt(ill.session, ill.market, "for a test")
        before = await ill.progress()
        async with hosted(*(shard_of(work, streams, shard) for work in (Work.ENGINE, Work.PROJECTION))):
            await ill.trade(20)
            await all_trade([well])
        assert await ill.progress() == before


@pytest.mark.parametrize("topic", [events_topic, book_changelog_topic])
async def test_a_topic_that_refuses_an_engines_records_holds_up_no_other_market(
    broker: Broker, database: str, tmp_path: Path, topic: Callable[[str], str]
) -> None:
    """The engines of a shard share a producer; what was refused is written as soon as the topic is mended."""
    async with markets(broker, database, tmp_path) as streams:
        refused, other = streams
        async with hosted(*(shard_of(work, streams, new_shard()) for work in SHARDED)):
            await all_trade(streams)
            await limit_records(broker.bootstrap, topic(refused.market), "100")
            for _ in range(3):
                await refused.trade(20)
                await all_trade([other], 20)
            await lift_limit(broker.bootstrap, topic(refused.market))
            await all_trade(streams)
        for stream in streams:
            one_hash_each(await stream.records())


async def test_records_of_many_logs_gather_before_the_next_fetch(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The more logs a worker reads, the longer: each fetch names all of them. None is missed."""
    monkeypatch.setattr(consuming, "GATHER_A_LOG_S", 0.25)
    monkeypatch.setattr(consuming, "GATHER_MAX_S", 1.0)
    fetched: list[int] = []
    fetch = consuming.ShardConsumerThread._fetch

    async def count(thread: consuming.ShardConsumerThread, reader: AIOKafkaConsumer) -> consuming.Records:
        records = await fetch(thread, reader)
        if records and thread.app.conf.id.startswith(Work.ENGINE):
            fetched.append(sum(map(len, records.values())))
        return records

    monkeypatch.setattr(consuming.ShardConsumerThread, "_fetch", count)
    async with (
        markets(broker, database, tmp_path) as streams,
        hosted(*(shard_of(work, streams, new_shard()) for work in (Work.ENGINE, Work.PROJECTION))),
    ):
        for _ in range(10):
            for each in streams:
                await each.trade(1)
                await relayed(each, await each.barrier())
        for each in streams:
            await each.drained()
    assert len(fetched) <= sum(fetched) / 4


def test_records_gather_only_where_many_markets_trade() -> None:
    """Two markets never wait for each other; of two hundred a busy exchange fetches at most twenty times a second."""
    assert consuming.gather_s(2, 2) < GATHER_MIN_S
    assert (
        consuming.gather_s(200, 1)
        < consuming.gather_s(200, 10)
        < consuming.gather_s(200, 200)
        == consuming.GATHER_MAX_S
    )


async def test_what_a_group_has_committed_is_a_hint(broker: Broker, database: str, tmp_path: Path) -> None:
    """Committed far beyond what is done, or before all of it: each owner starts where its own data ends."""
    async with markets(broker, database, tmp_path, 1) as streams:
        (stream,) = streams
        shard = new_shard()
        async with hosted(*(shard_of(work, streams, shard) for work in SHARDED)):
            await all_trade(streams)
        await stream.trade(100)
        for offset in (100_000, 0):
            for work in SHARDED:
                log = (commands_topic if work is Work.ENGINE else events_topic)(stream.market)
                await commit(broker, shard_app_id(work, shard), log, offset)
            async with hosted(*(shard_of(work, streams, shard) for work in SHARDED)):
                await all_trade(streams)
                await everything_is_published(stream)
        one_hash_each(await stream.records())


async def commit(broker: Broker, group: str, topic: str, offset: int) -> None:
    """Commit an offset for a group without members."""
    client = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group, enable_auto_commit=False)
    await client.start()
    try:
        client.assign([TopicPartition(topic, 0)])
        await client.commit({TopicPartition(topic, 0): OffsetAndMetadata(offset, "")})
    finally:
        await client.stop()


class Slow:
    """Work on a market that takes no record until it is let."""

    let: dict[str, asyncio.Event]
    seen: dict[str, list[int]]

    def __init__(self, _: faust.App, market: str, __: StreamSettings) -> None:
        self.name = market
        self.feed = Feed(events_topic(market), f"slow-{market}")

    async def begin(self) -> int | None:
        """At the start of the log."""
        return 0

    async def take(self, event: Any) -> None:
        """Wait to be let, and note the offset."""
        await self.let[self.name].wait()
        self.seen[self.name].append(event.message.offset)
        event.ack()

    async def work(self) -> None:
        """Nothing."""
        await asyncio.Event().wait()

    def release(self) -> None:
        """Nothing."""

    async def finish(self) -> None:
        """Nothing."""

    async def disconnect(self) -> None:
        """Nothing."""

    def advance(self) -> object:
        """How much it has seen."""
        return len(self.seen[self.name])

    async def has_work(self) -> bool:
        """Never asked to hurry."""
        return False


@pytest.mark.parametrize("lag", [pytest.param(5_000, id="short"), pytest.param(100_000, marks=FULL, id="full")])
async def test_a_market_that_lags_holds_up_no_other(broker: Broker, database: str, tmp_path: Path, lag: int) -> None:
    """Its log is paused, not its shard: the other market's records arrive, and so do all of its own, in order, once it goes on."""
    async with stream_on(broker, database, tmp_path) as lags, stream_on(broker, database, tmp_path) as runs:
        producer = AckedProducer(broker.bootstrap)
        await producer.start()
        record = OutgoingRecord(b"", b"x" * 100)
        await producer.send_together(events_topic(lags.market), [record] * lag)
        Slow.let = {each.market: asyncio.Event() for each in (lags, runs)}
        Slow.seen = {each.market: [] for each in (lags, runs)}
        Slow.let[runs.market].set()
        unit = ShardUnit(Work.PROJECTION, new_shard(), lags.settings, Slow, markets=names([lags, runs]))
        async with hosted(unit):
            (reading,) = [each for tp, each in unit.app.consumer._readings.items() if lags.market in tp.topic]
            await eventually(lambda: reading.is_paused)
            for count in range(1, 4):
                await producer.send_together(events_topic(runs.market), [record])
                await eventually(lambda count=count: len(Slow.seen[runs.market]) == count)
            assert Slow.seen[lags.market] == []
            assert WAITING_RECORDS_MAX <= reading.waiting < WAITING_RECORDS_MAX + 20_000  # what one fetch may hold more
            Slow.let[lags.market].set()
            await eventually(lambda: len(Slow.seen[lags.market]) == lag, within_s=60)
            assert Slow.seen[lags.market] == sorted(set(Slow.seen[lags.market]))
        await producer.stop()


@pytest.mark.parametrize("rounds", [pytest.param(4, id="short"), pytest.param(50, marks=FULL, id="full")])
async def test_markets_that_come_and_go_leave_nothing_behind(
    broker: Broker, database: str, tmp_path: Path, rounds: int
) -> None:
    """Threads, open files, sessions, agents and tables of the app are as before."""
    async with markets(broker, database, tmp_path) as streams:
        shard = new_shard()
        units = [shard_of(work, streams[:1], shard) for work in (Work.ENGINE, Work.PROJECTION)]
        async with hosted(*units):
            before = None
            for _ in range(1 + rounds):
                for unit in units:
                    await unit.place(names(streams))
                await all_trade(streams, 5)
                for unit in units:
                    await unit.place(names(streams[:1]))
                before = before or await held(streams[0], units[0])
            await eventually(lambda: _is_as(before, streams[0], units[0]))


async def held(stream: Stream, unit: ShardUnit) -> dict[str, int]:
    """What a shard holds."""
    app: Any = unit.app
    return {
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "sessions": await stream.session.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        ),
        "agents": len(app.agents),
        "tables": len(app.tables),
        "channels": len(app.topics),
        "logs": len(app.consumer._readings),
    }


async def _is_as(before: dict[str, int] | None, stream: Stream, unit: ShardUnit) -> bool:
    now = await held(stream, unit)
    assert before is not None
    return all(now[what] <= before[what] for what in now)
