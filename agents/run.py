"""What each worker process hosts, and for which shards, until SIGTERM.

Each function imports only its own parts: half of them need no Faust, which takes longer to import than all the rest.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from agents.shard.placement import MARKETS_AT_ONCE, PlacementWatch, Scope, Served
from agents.shard.shared_producer import SharedProducer
from agents.worker.database import keeping_sessions
from agents.worker.fail_stop import alongside
from agents.worker.host import Host
from agents.worker.presence import present
from agents.worker.settings import StreamSettings
from agents.worker.topic_watch import TopicWatch
from broker.address import name_process
from broker.kept_readers import keeping_readers
from store.session.presence import Work

if TYPE_CHECKING:
    from agents.shard.market_work import Build


async def run_engine(scope: Scope, settings: StreamSettings) -> None:
    """Match the markets of these shards, and those that are placed in them later."""
    from agents.matching.app import MarketEngine

    shared = SharedProducer(settings.bootstrap, "events")
    await _run_shards(Work.ENGINE, scope, settings, partial(MarketEngine, shared=shared))


async def run_projection(scope: Scope, settings: StreamSettings) -> None:
    """Persist the events of the markets of these shards."""
    from agents.projection.app import MarketProjection
    from agents.projection.persister import Persister

    await _run_shards(Work.PROJECTION, scope, settings, partial(MarketProjection, persister=Persister(settings)))


async def run_publisher(scope: Scope, settings: StreamSettings) -> None:
    """Publish the fills of the markets of these shards."""
    from agents.fills.app import MarketPublisher

    shared = SharedProducer(settings.bootstrap, "fills")
    await _run_shards(Work.PUBLISHER, scope, settings, partial(MarketPublisher, shared=shared))


async def run_relay(scope: Scope, settings: StreamSettings) -> None:
    """Relay the commands of the markets of these shards."""
    from agents.relay import Relay

    async with _watched(Work.RELAY, settings) as watch:
        relay = Relay((), settings, watch)

        async def follow(served: Served) -> None:
            relay.set_markets(served.at_work)

        await Host().run([relay, PlacementWatch(scope, settings, follow)])


async def run_clock(settings: StreamSettings) -> None:
    """Send all markets the time."""
    from agents.clock import Clock

    async with present("clock", settings, needs_clock=True):
        await Host().run([Clock(settings)])


async def run_liquidator(settings: StreamSettings) -> None:
    """Liquidate, activate triggered orders, audit the books, and maintain the candles."""
    from agents.activator import Activator
    from agents.auditor import Auditor
    from agents.candles import CandleMaker
    from agents.liquidator import Liquidator

    async with present("liquidator", settings, needs_clock=True):
        await Host().run([Liquidator(settings), Activator(settings), Auditor(settings), CandleMaker(settings)])


async def _run_shards(work: Work, scope: Scope, settings: StreamSettings, build: "Build") -> None:
    from agents.hosting import HostedShards
    from agents.shard.unit import ShardUnit

    async with _watched(work, settings) as watch:
        host = Host()
        hosted = HostedShards(host, lambda shard: ShardUnit(work, shard, settings, build, watch=watch))
        await host.run([PlacementWatch(scope, settings, hosted.follow)])


@asynccontextmanager
async def _watched(work: Work, settings: StreamSettings) -> AsyncIterator[TopicWatch]:
    """Be shown as a worker of this kind, and watch topics meanwhile. Its markets begin over the same few connections."""
    name_process(work)
    async with (
        present(work, settings),
        keeping_readers(settings.bootstrap, MARKETS_AT_ONCE),
        keeping_sessions(settings.dsn, work.value),
    ):
        watch = TopicWatch(work, settings)
        async with alongside(watch.run(), f"the topics of {work}"):
            yield watch
