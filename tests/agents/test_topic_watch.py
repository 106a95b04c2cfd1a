"""A topic of one market is missing or set up wrongly: that market rests, the others go on, and so does it once it is mended."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaTimeoutError
from click.testing import CliRunner

from agents.fills.app import MarketPublisher
from agents.matching.app import MarketEngine
from agents.projection.app import MarketProjection
from agents.relay import Relay
from agents.shard.unit import ShardUnit
from agents.worker.topic_watch import NEEDED, TopicWatch
from app.cli import cli
from broker.address import client_settings
from broker.topic_faults import TopicFault, read_topic_faults
from broker.topics import BOOK, LOG, admin_client, create_topics
from schemas.commands import PassBarrier
from store.command_log.commands import append_command
from store.markets.rests import read_rests
from store.queries.operations.lags import read_lags
from store.session.presence import Work
from tests.agents.intruder import TOPICS
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.agents.test_publisher import everything_is_published
from tests.conftest import Broker
from tests.eventually import WITHIN_S, eventually
from tests.store.account_builder import session_to
from tests.topic_faults import delete_topic

LATE, UNANSWERED = 1, 2
"""Of the looks at a topic."""
BUILD = {Work.ENGINE: MarketEngine, Work.PROJECTION: MarketProjection, Work.PUBLISHER: MarketPublisher}


class Fault(NamedTuple):
    """What happens to a topic, how an operator mends it, and what the reason says."""

    happens: Callable[[AIOKafkaAdminClient, str], Awaitable[object]]
    is_mended_by_making_it_again: bool
    reason: str


async def _shrink(client: AIOKafkaAdminClient, topic: str, limit: str = "100") -> None:
    settings = (BOOK if topic.endswith("-changelog") else LOG) | {"max.message.bytes": limit}
    await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=settings)])


FAULTS = {
    "missing": Fault(lambda client, topic: client.delete_topics([topic]), True, "the topic is missing"),
    "second partition": Fault(
        lambda client, topic: client.create_partitions({topic: NewPartitions(2)}), True, "partitions is 2, must be 1"
    ),
    "too small": Fault(_shrink, False, "max.message.bytes is 100, must be 2097152"),
}
SOME = [("events", "missing"), ("fills", "second partition"), ("commands", "too small")]
EVERY = [
    pytest.param([(topic, fault)], id=f"{topic}-{fault}", marks=pytest.mark.chaos)
    for topic in TOPICS
    for fault in FAULTS
]


@asynccontextmanager
async def workers_of(*streams: Stream) -> AsyncIterator[None]:
    """All workers of these markets, as their processes host them: in one shard, one watch for each kind of work."""
    settings, markets = streams[0].settings, [stream.market for stream in streams]
    relaying, *watches = [TopicWatch(work, settings) for work in (Work.RELAY, *BUILD)]
    tasks = [asyncio.create_task(watch.run()) for watch in (relaying, *watches)]
    shards = [
        ShardUnit(watch.work, markets[0], settings, BUILD[watch.work], markets=markets, watch=watch)
        for watch in watches
    ]
    try:
        async with hosted(Relay(markets, settings, relaying), *shards):
            yield
    finally:
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def ticking(stream: Stream) -> AsyncIterator[None]:
    """A command twice a second, as the clock sends: a topic that was made again shows by the next record what it lacks."""

    async def tick() -> None:
        async with asyncio.timeout(600):
            while True:
                await asyncio.sleep(0.5)
                async with session_to(stream.settings.dsn) as session:
                    await append_command(session, stream.market, PassBarrier(BEGAN_AT, "tick"))

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


async def mend(stream: Stream, topic: str, fault: Fault) -> None:
    """What docs/recover.md says."""
    async with admin_client(stream.settings.bootstrap) as client:
        if not fault.is_mended_by_making_it_again:
            await _shrink(client, topic, LOG["max.message.bytes"])
            return
        if topic in await client.list_topics():
            await delete_topic(stream.settings.bootstrap, topic)
    await create_topics(stream.settings.bootstrap, [stream.market])


@pytest.mark.parametrize("which", [pytest.param(SOME, id="some"), *EVERY])
async def test_a_fault_of_one_market_rests_that_market(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: list[tuple[str, str]]
) -> None:
    """It says why, its orders wait, the other market trades; mended, it goes on by itself and has lost nothing."""
    monkeypatch.setattr("agents.worker.topic_watch.LOOK_EVERY_S", 0.5)
    async with AsyncExitStack() as stack:
        ill, well = [await stack.enter_async_context(stream_on(broker, database, tmp_path)) for _ in range(2)]
        await stack.enter_async_context(workers_of(ill, well))
        await stack.enter_async_context(ticking(ill))
        for kind, name in which:
            fault, topic = FAULTS[name], TOPICS[kind](ill.market)
            await ill.trade(20)
            await everything_is_published(ill)
            async with admin_client(broker.bootstrap) as client:
                await fault.happens(client, topic)
            await ill.trade(20)
            await eventually(lambda kind=kind, fault=fault: _rest(ill, kind, fault.reason))
            status = await asyncio.to_thread(
                CliRunner(env={"DATABASE_URL": database}).invoke, cli, ["status", "--json"]
            )
            reasons = {row["market"]: row["rests"] for row in orjson.loads(status.output)}
            assert fault.reason in reasons[ill.market]
            assert reasons[well.market] is None
            lags = {lag.market: lag.rests for lag in await read_lags(well.session, BEGAN_AT)}
            assert (lags[ill.market], lags[well.market]) == (True, False)
            await well.trade(20)
            await well.drained()
            await mend(ill, topic, fault)
            await eventually(lambda: _rests_no_more(ill))
            await ill.trade(20)
            await ill.drained()
            assert await ill.unfinished() == 0
        await well.trade(20)
        await everything_is_published(well)


async def test_a_worker_that_fails_asks_for_a_look_that_began_after_its_failure(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look under way had asked before the fault: the market that then failed was taken for sound, and ended the process."""
    goes_on, looks = asyncio.Event(), []

    async def look(*arguments: Any) -> list[TopicFault]:
        looks.append(await read_topic_faults(*arguments))
        if len(looks) == LATE:
            await goes_on.wait()
        if len(looks) == UNANSWERED:
            raise KafkaTimeoutError
        return looks[-1]

    monkeypatch.setattr("agents.worker.topic_watch.read_topic_faults", look)
    async with stream_on(broker, database, tmp_path) as stream:
        watch = TopicWatch(Work.ENGINE, stream.settings)
        watching = asyncio.create_task(watch.run())
        adding = asyncio.create_task(watch.add(stream.market))
        await eventually(lambda: len(looks) == LATE)
        await delete_topic(broker.bootstrap, TOPICS["events"](stream.market))
        failing = asyncio.create_task(watch.is_faulty(stream.market))
        await asyncio.sleep(0)
        goes_on.set()
        assert await asyncio.wait_for(failing, WITHIN_S)
        await adding
        watching.cancel()
        assert looks[LATE - 1] == []
        assert len(looks) > UNANSWERED


async def test_each_client_names_its_process_and_market(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker sees who asks: in the members of a group, and in every client that we make."""
    monkeypatch.setattr("broker.address._process", "engine")
    async with (
        stream_on(broker, database, tmp_path) as stream,
        workers_of(stream),
        admin_client(broker.bootstrap) as client,
    ):
        await stream.trade(1)
        await stream.drained()
        groups = [f"{work}-{stream.market}" for work in (Work.ENGINE, Work.PROJECTION, Work.PUBLISHER)]
        for group in groups:
            (answer,) = await client.describe_consumer_groups([group])
            members = answer.to_object()["groups"][0]["members"]
            assert [member["client_id"] for member in members] == [group]
        assert client_settings(broker.bootstrap, stream.market)["client_id"] == f"engine-{stream.market}"


async def _rest(stream: Stream, kind: str, reason: str) -> bool:
    """Whether each kind of work that needs the topic rests: one that has not looked yet finds its log truncated once it is made again."""
    rests = (await read_rests(stream.session)).get(stream.market, "")
    topic = TOPICS[kind](stream.market)
    works = [work for work, needed in NEEDED.items() if topic in [name(stream.market) for name in needed]]
    return all(re.search(f"{work}: {topic}: [^;]*{reason}", rests) for work in works)


async def _rests_no_more(stream: Stream) -> bool:
    return stream.market not in await read_rests(stream.session)
