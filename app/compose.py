"""The composition root: which parts each process is made of, and what they are handed.

Each function imports the parts of its own process alone: a worker is up a second sooner.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import asyncpg

from agents.worker.gc_tuning import tune_gc
from agents.worker.presence import seen
from agents.worker.settings import StreamSettings
from app.crash_at import arm_crash_points
from app.logs import configure_logs
from app.metrics import metrics_served
from app.operator import check_can_be_listed, list_new_market, now
from app.settings import Settings, signing_secret
from app.unreachable import BrokerSilent
from broker.topics import cluster_id, create_topics
from schemas.market import SEED_MARKETS, MarketSpec
from store.command_log.commands import MarketUnknown
from store.markets.registry import MarketRegistry, load_registry, seed
from store.session.connect import connect_reader_pool, connect_writer

if TYPE_CHECKING:
    from agents.prices.source import Source
    from agents.rebuild import MovedMarket
    from agents.verify import Report

ALL_MARKETS = "all"
SUBMISSIONS_AT_ONCE = 3
"""Transactions of one API process in flight; a fourth only waits for the counters of the markets."""


async def prepare_database(settings: Settings, specs: Sequence[MarketSpec] = SEED_MARKETS) -> str:
    """Tables of this version, seed markets, insurance fund; the migration that is in force."""
    from store.schema.migrate import migrate

    newest = migrate(settings.database_url)
    await seed(settings.database_url, now(), specs, settings.status_of_new_markets)
    return newest


async def prepare_topics(settings: Settings, markets: Sequence[str] = ()) -> list[str]:
    """The topics of these markets, or of every listed one; their names."""
    names = list(markets or (await _registry(settings)).by_name)
    return await create_topics(settings.broker_address, names, replication=settings.topic_replication)


async def add_market(settings: Settings, spec: MarketSpec) -> bool:
    """List a market once its topics are there; false when no worker has taken it up in time. Raises MarketRefused."""
    await check_can_be_listed(settings, spec)
    await prepare_topics(settings, [spec.market])
    return await list_new_market(settings, spec)


async def has_lost_its_broker(settings: Settings) -> bool:
    """Whether the exchange has lived on another broker than this one."""
    from agents.rebuild import needs_rebuild

    return await needs_rebuild(_stream(settings), await cluster_id(settings.broker_address))


async def rebuild_markets(settings: Settings) -> "list[MovedMarket]":
    """Give an empty broker beside a full database what it must hold of every market, and make it ours."""
    from agents.rebuild import rebuild

    markets = list((await _registry(settings)).by_name)
    return await rebuild(_stream(settings), markets, await cluster_id(settings.broker_address))


async def verify_market(settings: Settings, market: str) -> "Report":
    """Replay a market's log and compare; raises LogMismatch for a broker that is not ours, MarketUnknown."""
    from agents.rebuild import needs_rebuild
    from agents.verify import verify
    from broker.errors import LogMismatch

    if market not in (await _registry(settings)).by_name:
        raise MarketUnknown(market)
    stream, found = _stream(settings), await cluster_id(settings.broker_address)
    if await needs_rebuild(stream, found):
        raise LogMismatch("cluster id of the broker", "the one that holds our logs", found)
    try:
        return await verify(stream, market)
    except TimeoutError as error:
        await _registry(settings)  # raises where it is the database that is silent
        raise BrokerSilent from error


async def serve_api(settings: Settings) -> None:
    """The REST face until SIGTERM: registry, pool, submission and their server."""
    from api.access.addresses import Proxies
    from api.access.api_keys import ApiKeys
    from api.access.passwords import Passwords
    from api.access.rate_limits import RateLimits
    from api.access.tokens import Tokens
    from api.database import Database
    from api.server import ApiServer
    from api.services import ApiSettings, Services
    from api.submission.load_poller import LoadPoller
    from api.submission.submission_queue import SubmissionQueue
    from store.submission import Submission

    _begin(settings)
    registry = await _registry(settings)
    pool = await connect_reader_pool(settings.database_url, "api", command_timeout_s=1.8)
    database = Database(pool)
    load = LoadPoller(database, registry, now)
    connect = partial(connect_writer, settings.database_url, "submission")
    submissions = [Submission(connect, registry) for _ in range(SUBMISSIONS_AT_ONCE)]
    services = Services(
        settings=ApiSettings(
            are_deposits_open=settings.deposits_are_open,
            is_behind_tls=settings.behind_tls,
            rates=settings.rates,
            trusted_proxies=settings.trusted_proxies,
        ),
        database=database,
        submissions=SubmissionQueue(submissions, now, lambda: load.current),
        load=load,
        registry=registry,
        tokens=Tokens(signing_secret(settings), now, previous_secret=settings.jwt_secret_previous),
        keys=ApiKeys(database, now, time.monotonic),
        passwords=Passwords(),
        now=now,
        limits=RateLimits(settings.rates),
        proxies=Proxies(settings.trusted_proxies),
    )
    server = ApiServer(services, settings.http_host, settings.port)
    await server.start()
    tune_gc()
    async with seen("api", settings.database_url, f"{settings.http_host}:{server.port}"):
        await _until_told_to_stop()
        await server.stop()
    await pool.close()


async def work_prices(settings: Settings, sources: "Sequence[Source]") -> None:
    """The feed of these sources until SIGTERM. Raises MarketUnknown."""
    from agents.prices.feed import PriceFeed
    from agents.worker.host import Host

    _begin(settings)
    await _named(settings, [source.market for source in sources])
    async with _at_work(settings) as address, seen("prices", settings.database_url, address):
        await Host().run([PriceFeed(settings.database_url, sources)])


async def work_relay(settings: Settings, markets: Sequence[str]) -> None:
    """Relays of the given markets until SIGTERM."""
    from agents.run import run_relay

    await _work(settings, partial(run_relay, await _named(settings, markets)))


async def work_engine(settings: Settings, markets: Sequence[str]) -> None:
    """Matching agents of the given markets until SIGTERM."""
    from agents.run import run_engine

    await _work(settings, partial(run_engine, await _named(settings, markets)))


async def work_projection(settings: Settings, markets: Sequence[str]) -> None:
    """Projection agents of the given markets until SIGTERM."""
    from agents.run import run_projection

    await _work(settings, partial(run_projection, await _named(settings, markets)))


async def work_publisher(settings: Settings, markets: Sequence[str]) -> None:
    """Publishing agents of the given markets until SIGTERM."""
    from agents.run import run_publisher

    await _work(settings, partial(run_publisher, await _named(settings, markets)))


async def work_clock(settings: Settings) -> None:
    """The one clock until SIGTERM."""
    from agents.run import run_clock

    await _work(settings, run_clock)


async def work_liquidator(settings: Settings) -> None:
    """The one liquidator, the audit that runs by itself, and the candle maker, until SIGTERM."""
    from agents.run import run_liquidator

    await _work(settings, run_liquidator)


async def _work(settings: Settings, work: Callable[[StreamSettings], Awaitable[None]]) -> None:
    """Do a worker's work at the broker that is ours, with its metrics served meanwhile."""
    _begin(settings)
    stream = await _stream_of_ours(settings)
    async with _at_work(settings) as address:
        await work(replace(stream, metrics=address))


@asynccontextmanager
async def _at_work(settings: Settings) -> AsyncIterator[str]:
    """What lives as long as a worker is there: the collector spares it, and its metrics are served; where."""
    tune_gc()
    async with metrics_served(settings.metrics_host, settings.metrics_port) as address:
        yield address


def _begin(settings: Settings) -> None:
    """What every process that works does first."""
    configure_logs(settings.log_format)
    arm_crash_points(settings.crash_at, settings.data)


def _stream(settings: Settings) -> StreamSettings:
    """Where the workers of the stream work."""
    folder = settings.data / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    return StreamSettings(
        dsn=settings.database_url,
        bootstrap=settings.broker_address,
        datadir=folder,
        session_timeout_s=settings.session_timeout_s,
        standstill_s=settings.standstill_s,
    )


async def _stream_of_ours(settings: Settings) -> StreamSettings:
    """The same, after asking whether this broker is the one that holds our logs."""
    from agents.rebuild import check_broker

    stream = _stream(settings)
    await check_broker(stream, await cluster_id(stream.bootstrap))
    return stream


async def _named(settings: Settings, markets: Sequence[str]) -> Sequence[str] | None:
    """The markets named on the command line; None for all, those listed later included. Raises MarketUnknown."""
    if ALL_MARKETS in markets:
        return None
    listed = (await _registry(settings)).by_name
    for market in markets:
        if market not in listed:
            raise MarketUnknown(market)
    return markets


async def _registry(settings: Settings) -> MarketRegistry:
    connection = await asyncpg.connect(settings.database_url, timeout=5)
    try:
        return await load_registry(connection)
    finally:
        await connection.close()


async def _until_told_to_stop() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
