"""What each worker process hosts, and for which markets, until SIGTERM."""

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial

from agents.auditor import Auditor
from agents.candles import CandleMaker
from agents.clock import Clock
from agents.fills.app import publisher_unit
from agents.fills.shared_producer import SharedProducer
from agents.guarded_unit import GuardedUnit
from agents.liquidator import Liquidator
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.projection.persister import Persister
from agents.relay import Relay
from agents.worker.database import ask_database
from agents.worker.fail_stop import fail_fast
from agents.worker.host import Host, Unit
from agents.worker.presence import present
from agents.worker.settings import StreamSettings
from agents.worker.topic_watch import TopicWatch
from broker.address import name_process
from store.markets.registry import load_registry
from store.session.presence import Work

FOLLOW_EVERY_S = 2.0

log = logging.getLogger(__name__)


async def run_engine(markets: Collection[str] | None, settings: StreamSettings) -> None:
    """Match these markets; None is all that are listed, and those listed later."""
    await _run(Work.ENGINE, markets, settings, engine_unit)


async def run_projection(markets: Collection[str] | None, settings: StreamSettings) -> None:
    """Persist the events of these markets; None as above."""
    await _run(Work.PROJECTION, markets, settings, partial(projection_unit, persister=Persister(settings)))


async def run_publisher(markets: Collection[str] | None, settings: StreamSettings) -> None:
    """Publish the fills of these markets; None as above."""
    shared = SharedProducer(settings.bootstrap, "fills")
    await _run(Work.PUBLISHER, markets, settings, partial(publisher_unit, shared=shared))


async def run_relay(markets: Collection[str] | None, settings: StreamSettings) -> None:
    """Relay the commands of these markets; None as above."""
    name_process(Work.RELAY)
    async with present(Work.RELAY, settings):
        host = Host()
        watch = TopicWatch(Work.RELAY, settings)
        relay = Relay(markets or (), settings, watch)
        tasks = [fail_fast(watch.run(), "the topics of relay")]
        if markets is None:
            tasks.append(fail_fast(_follow_with(relay, host, settings), "relay of all markets"))
        around = [asyncio.create_task(task) for task in tasks]
        try:
            await host.run([relay])
        finally:
            for task in around:
                task.cancel()


async def run_clock(settings: StreamSettings) -> None:
    """Send all markets the time."""
    async with present("clock", settings, needs_clock=True):
        await Host().run([Clock(settings)])


async def run_liquidator(settings: StreamSettings) -> None:
    """Liquidate, audit the books, and maintain the candles."""
    async with present("liquidator", settings, needs_clock=True):
        await Host().run([Liquidator(settings), Auditor(settings), CandleMaker(settings)])


async def listed_markets(settings: StreamSettings) -> list[str]:
    """The names of all listed markets."""
    registry = await ask_database(settings.dsn, "markets", load_registry)
    return list(registry.by_name)


async def _run(
    work: Work, markets: Collection[str] | None, settings: StreamSettings, build: Callable[[str, StreamSettings], Unit]
) -> None:
    name_process(work)
    async with present(work, settings):
        host = Host()
        watch = TopicWatch(work, settings)
        watching = asyncio.create_task(fail_fast(watch.run(), f"the topics of {work}"))

        def unit(market: str, settings: StreamSettings) -> Unit:
            return GuardedUnit(market, settings, watch, build)

        follower = None
        if markets is None:
            follower = asyncio.create_task(fail_fast(_follow(host, settings, unit), f"{work} of all markets"))
        try:
            await host.run([unit(market, settings) for market in markets or ()])
        finally:
            watching.cancel()
            if follower is not None:
                follower.cancel()


async def _follow(host: Host, settings: StreamSettings, unit: Callable[[str, StreamSettings], Unit]) -> None:
    hosted: set[str] = set()
    while not host.stopping.is_set():
        for market in await listed_markets(settings):
            if market not in hosted:
                hosted.add(market)
                host.add(unit(market, settings))
        await asyncio.sleep(FOLLOW_EVERY_S)


async def _follow_with(relay: Relay, host: Host, settings: StreamSettings) -> None:
    while not host.stopping.is_set():
        relay.set_markets(await listed_markets(settings))
        await asyncio.sleep(FOLLOW_EVERY_S)
