"""The composition root: the parts of each process, and how they are wired.

Each function imports only the parts of its own process, so a worker starts a second sooner.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
from aiokafka.errors import KafkaError

from agents.worker.fail_stop import on_stop_signal
from agents.worker.gc_tuning import tune_gc
from agents.worker.presence import seen
from agents.worker.settings import StreamSettings
from app.crash_at import arm_crash_points
from app.exports.schema_registry import register_schemas
from app.file_limit import raise_file_limit
from app.logs import configure_logs
from app.metrics import metrics_served
from app.operator import check_can_be_listed, list_new_market, now
from app.settings import Settings, signing_key, signing_secret, totp_key
from app.unreachable import BrokerSilent
from broker.address import name_process
from broker.topic_faults import TopicFault, read_topic_faults
from broker.topic_repair import repair_settings, repairable
from broker.topics import cluster_id, create_topics, topic_settings
from schemas.addresses import address_text
from schemas.market import SEED_MARKETS, MarketSpec
from store.advance import Advance, unseen
from store.command_log.commands import MarketUnknown
from store.markets.registry import MarketRegistry, load_registry, seed
from store.session.checked_clock import CheckedClock
from store.session.connect import connect_reader_pool, connect_writer

if TYPE_CHECKING:
    from agents.prices.source import Source
    from agents.rebuild import MovedMarket
    from agents.shard.placement import Scope
    from agents.verify import Report
    from api.services import DeadLetters

log = logging.getLogger(__name__)

ALL_MARKETS = "all"
REPAIR_SEEN_AFTER_LOOKS = 50
STRANGERS_OF_ADDRESS_MAX, LOCAL_STRANGERS_MAX = 100, 10_000
"""Connections to the socket without a user, of one address: on one machine all clients have the same."""
SUBMISSIONS_AT_ONCE = 3
"""Transactions in flight per API process; a fourth would only wait for the counters of the markets."""


async def prepare_database(settings: Settings, specs: Sequence[MarketSpec] = SEED_MARKETS) -> str:
    """Migrate the tables, list the seed markets, create the insurance fund; returns the newest migration."""
    from store.schema.migrate import migrate

    newest = migrate(settings.database_url)
    await seed(settings.database_url, now(), specs, settings.status_of_new_markets)
    return newest


async def prepare_topics(settings: Settings, markets: Sequence[str] = ()) -> list[str]:
    """Create the topics of these markets, or of every listed one; returns their names."""
    names = list(markets or (await _registry(settings)).by_name)
    return await create_topics(settings.broker_address, names, replication=settings.topic_replication)


async def register_record_schemas(settings: Settings) -> dict[str, int]:
    """Register the schemas of the documented topics of every listed market, where there is a registry. Raises RegistryRefused."""
    from api.documents.record_schemas import subjects_of

    if not settings.schema_registry_url:
        return {}
    markets = list((await _registry(settings)).by_name)
    return await register_schemas(settings.schema_registry_url, subjects_of(markets))


class TopicsFound(NamedTuple):
    """What the topics of the listed markets differ in from what they must be; `repairable`: those that are settings."""

    faults: list[TopicFault]
    repairable: list[TopicFault]


async def topic_faults(settings: Settings) -> TopicsFound:
    """Compare the topics of the listed markets with what they must be."""
    return await _compared(settings, await _wanted_topics(settings))


async def repair_topics(settings: Settings) -> list[TopicFault]:
    """Set every setting of the topics of the listed markets to what it must be; returns the faults that are repaired."""
    wanted = await _wanted_topics(settings)
    found = await _compared(settings, wanted)
    await repair_settings(settings.broker_address, found.repairable)
    for _ in range(REPAIR_SEEN_AFTER_LOOKS):  # a broker applies what the controller has accepted a moment later
        if not (await _compared(settings, wanted)).repairable:
            break
        await asyncio.sleep(0.1)
    return found.repairable


async def _wanted_topics(settings: Settings) -> dict[str, Mapping[str, str]]:
    return dict(topic_settings((await _registry(settings)).by_name, settings.topic_replication))


async def _compared(settings: Settings, wanted: Mapping[str, Mapping[str, str]]) -> TopicsFound:
    faults = await read_topic_faults(settings.broker_address, wanted, settings.topic_replication)
    return TopicsFound(faults, repairable(faults, wanted))


async def add_market(settings: Settings, spec: MarketSpec) -> bool:
    """Create the topics of a market, then list it; false when no worker processed it in time. Raises MarketRefused."""
    await check_can_be_listed(settings, spec)
    await prepare_topics(settings, [spec.market])
    return await list_new_market(settings, spec)


async def has_lost_its_broker(settings: Settings) -> bool:
    """Whether the exchange has run on another broker than this one."""
    from agents.rebuild import needs_rebuild

    return await needs_rebuild(_stream(settings), await cluster_id(settings.broker_address))


async def rebuild_markets(settings: Settings, advance: Advance = unseen) -> "list[MovedMarket]":
    """Rebuild every market on an empty broker from PostgreSQL, and record the broker as the current one."""
    from agents.rebuild import rebuild

    name_process("rebuild")
    markets = list((await _registry(settings)).by_name)
    return await rebuild(_stream(settings), markets, await cluster_id(settings.broker_address), advance)


async def verify_market(settings: Settings, market: str, advance: Advance = unseen) -> "Report":
    """Replay a market's log and compare; raises LogMismatch for a broker that is not ours, MarketUnknown."""
    from agents.rebuild import needs_rebuild
    from agents.verify import verify
    from broker.errors import LogMismatch

    name_process("verify")
    if market not in (await _registry(settings)).by_name:
        raise MarketUnknown(market)
    stream, found = _stream(settings), await cluster_id(settings.broker_address)
    if await needs_rebuild(stream, found):
        raise LogMismatch("cluster id of the broker", "the one that holds our logs", found)
    try:
        return await verify(stream, market, advance)
    except TimeoutError as error:
        await _registry(settings)  # raises if the database is the part that does not answer
        raise BrokerSilent from error


async def serve_api(settings: Settings) -> None:
    """Serve the REST API until SIGTERM: registry, pool, submission and server."""
    from api.access.addresses import Proxies
    from api.access.api_keys import ApiKeys
    from api.access.logins import Logins
    from api.access.passwords import Passwords
    from api.access.rate_limits import RateLimits
    from api.access.signatures import SignedRequests
    from api.access.tokens import Tokens
    from api.access_log import AccessLog
    from api.database import Database
    from api.live.live_feeds import live_feeds
    from api.server import ApiServer
    from api.services import ApiSettings, Services
    from api.submission.load_poller import LoadPoller
    from api.submission.submission_queue import SubmissionQueue
    from store.queries.accounts.adl import AdlRanks
    from store.submission import Submission
    from store.users.signing_secrets import SigningSecrets
    from store.users.totp_secrets import TotpSecrets

    _prepare_process(settings)
    registry, clock = await _registry(settings), CheckedClock(now)
    pool = await connect_reader_pool(settings.database_url, "api", command_timeout_s=1.8)
    database = Database(pool)
    load = LoadPoller(database, registry, clock.now)
    connect = partial(connect_writer, settings.database_url, "submission")
    submissions = [Submission(connect, registry) for _ in range(SUBMISSIONS_AT_ONCE)]
    ranks = AdlRanks()
    services = Services(
        settings=ApiSettings(
            are_deposits_open=settings.deposits_are_open,
            opens_without_sources=settings.is_local,
            is_behind_tls=settings.behind_tls,
            rates=settings.rates,
            trusted_proxies=settings.trusted_proxies,
            keepalive_timeout_s=settings.keep_alive_s,
            cors_origins=settings.cors_origins,
            strangers_of_address_max=LOCAL_STRANGERS_MAX if settings.is_local else STRANGERS_OF_ADDRESS_MAX,
        ),
        database=database,
        submissions=SubmissionQueue(submissions, clock.now, lambda: load.current),
        load=load,
        registry=registry,
        tokens=Tokens(
            signing_secret(settings), clock.now, latest=clock.latest, previous_secret=settings.jwt_secret_previous
        ),
        logins=Logins(
            database, partial(connect_writer, settings.database_url, "logins", command_timeout_s=1.0), clock.now
        ),
        keys=ApiKeys(database, clock.now, time.monotonic),
        passwords=Passwords(),
        totp=TotpSecrets(totp_key(settings)),
        signed=SignedRequests(database, SigningSecrets(signing_key(settings)), clock.now),
        now=clock.now,
        clock=clock,
        limits=RateLimits(settings.rates),
        proxies=Proxies(settings.trusted_proxies),
        access=AccessLog(settings.access_log, settings.access_log_file),
        ranks=ranks,
        dead_letters=_dead_letters(settings) if settings.broker_url else None,
        live=live_feeds(database, settings.broker_address, clock.now, ranks) if settings.broker_url else None,
    )
    server = ApiServer(services, settings.http_host, settings.port)
    await database.run(clock.check)  # before /readyz is asked
    await server.start()
    address = address_text(settings.http_host, server.port)
    log.info("the API listens on %s", address)
    tune_gc()
    async with seen("api", settings.database_url, address, clock=clock):
        await _until_stopped()
        await server.stop()
    await pool.close()


def _dead_letters(settings: Settings) -> "DeadLetters":
    """How the API reads and retries dead letters."""
    from agents.dead_letter_retry import retry_for_operator
    from api.services import DeadLetters
    from broker.dead_letters import StoredLetter, read_newest_dead_letters

    async def read() -> list[StoredLetter]:
        try:
            return await read_newest_dead_letters(settings.broker_address)
        except KafkaError as error:
            raise ConnectionError(str(error)) from error

    return DeadLetters(read, retry_for_operator)


async def work_prices(settings: Settings, sources: "Sequence[Source]") -> None:
    """Run the feed of these sources until SIGTERM. Raises MarketUnknown."""
    from agents.prices.feed import PriceFeed
    from agents.worker.host import Host

    _prepare_process(settings)
    await _check_listed(settings, [source.market for source in sources])
    async with _at_work(settings) as address, seen("prices", settings.database_url, address, needs_clock=True):
        await Host().run([PriceFeed(settings.database_url, sources)])


async def work_relay(settings: Settings, markets: Sequence[str], shards: Sequence[str] = ()) -> None:
    """Run the relays of the given shards, and of the shards of these markets, until SIGTERM."""
    from agents.run import run_relay

    await _work(settings, partial(run_relay, await _scope(settings, markets, shards)))


async def work_engine(settings: Settings, markets: Sequence[str], shards: Sequence[str] = ()) -> None:
    """Run the matching agents of the given shards, and of the shards of these markets, until SIGTERM."""
    from agents.run import run_engine

    await _work(settings, partial(run_engine, await _scope(settings, markets, shards)))


async def work_projection(settings: Settings, markets: Sequence[str], shards: Sequence[str] = ()) -> None:
    """Run the projection agents of the given shards, and of the shards of these markets, until SIGTERM."""
    from agents.run import run_projection

    await _work(settings, partial(run_projection, await _scope(settings, markets, shards)))


async def work_publisher(settings: Settings, markets: Sequence[str], shards: Sequence[str] = ()) -> None:
    """Run the publishing agents of the given shards, and of the shards of these markets, until SIGTERM."""
    from agents.run import run_publisher

    await _work(settings, partial(run_publisher, await _scope(settings, markets, shards)))


async def work_clock(settings: Settings) -> None:
    """Run the clock until SIGTERM."""
    from agents.run import run_clock

    await _work(settings, run_clock)


async def work_liquidator(settings: Settings) -> None:
    """Run the liquidator, the activator, the periodic audit and the candle maker until SIGTERM."""
    from agents.run import run_liquidator

    await _work(settings, run_liquidator)


async def _work(settings: Settings, work: Callable[[StreamSettings], Awaitable[None]]) -> None:
    """Run a worker at the recorded broker, and serve its metrics meanwhile."""
    _prepare_process(settings)
    stream = await _stream_of_ours(settings)
    async with _at_work(settings) as address:
        await work(replace(stream, metrics=address))


@asynccontextmanager
async def _at_work(settings: Settings) -> AsyncIterator[str]:
    """Tune garbage collection and serve a worker's metrics while it runs; yields their address."""
    tune_gc()
    async with metrics_served(settings.metrics_host, settings.metrics_port) as address:
        yield address


def _prepare_process(settings: Settings) -> None:
    """What every process does first: configure logs, raise the limit of open files, arm crash points."""
    configure_logs(settings.log_format)
    raise_file_limit()
    arm_crash_points(settings.crash_at, settings.data)


def _stream(settings: Settings) -> StreamSettings:
    """The settings of the stream workers."""
    folder = settings.data / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    return StreamSettings(
        dsn=settings.database_url,
        bootstrap=settings.broker_address,
        datadir=folder,
        session_timeout_s=settings.session_timeout_s,
        standstill_s=settings.standstill_s,
        replication=settings.topic_replication,
    )


async def _stream_of_ours(settings: Settings) -> StreamSettings:
    """The same, after checking that this broker is the recorded one."""
    from agents.rebuild import check_broker

    stream = _stream(settings)
    await check_broker(stream, await cluster_id(stream.bootstrap))
    return stream


async def _scope(settings: Settings, markets: Sequence[str], shards: Sequence[str]) -> "Scope":
    """What the command line names; everything, if it names nothing or all. Raises MarketUnknown."""
    from agents.shard.placement import EVERYTHING, Scope

    if ALL_MARKETS in markets:
        return EVERYTHING
    await _check_listed(settings, markets)
    return Scope(markets, shards)


async def _check_listed(settings: Settings, markets: Sequence[str]) -> None:
    if not markets:
        return
    listed = (await _registry(settings)).by_name
    for market in markets:
        if market not in listed:
            raise MarketUnknown(market)


async def _registry(settings: Settings) -> MarketRegistry:
    connection = await asyncpg.connect(settings.database_url, timeout=5)
    try:
        return await load_registry(connection)
    finally:
        await connection.close()


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    on_stop_signal(stopped.set)
    await stopped.wait()
