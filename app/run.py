"""`run`: the whole exchange on this machine, as one supervised process tree.

    1. lock DATA             4. topics; if the folder of the broker was lost, the rebuild
    2. PostgreSQL, tables    5. projection, engine, relay, publisher, clock, liquidator, api, demo
    3. Apache Kafka          6. a barrier through every log, then `ready … URL`

A part that dies is restarted at its old address and continues; commands sent meanwhile wait in the outbox.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TypeVar

import aiohttp
from aiokafka.errors import KafkaError

from agents.rebuild import RebuildRefused, WorkersRun
from agents.worker.fail_stop import on_stop_signal
from app.compose import has_lost_its_broker, prepare_database, prepare_topics, rebuild_markets
from app.demo import is_quoting
from app.demo.markets import DEMO_MARKETS
from app.demo.users import SHOWN, TRADERS, credentials
from app.file_limit import raise_file_limit
from app.local.folder_lock import FolderTaken
from app.local.kafka import LocalKafka
from app.local.kafka_cache import make_cache
from app.local.kafka_jars import KAFKA_VERSION
from app.local.postgres import EmbeddedPostgres
from app.local.process import ChildFailed, PortTaken, check_port_is_free, free_port, port_or_free
from app.local.supervisor import Supervisor
from app.local.worker import Worker
from app.operator import all_index_sources, drain_markets, markets_now
from app.prometheus_file import write_prometheus_file
from app.settings import Settings, signing_secret
from broker.topics import cluster_id
from schemas.addresses import CannotListen, local_address, local_url
from schemas.market import SEED_MARKETS

ASK_AGAIN_S = 0.2
LOCAL_SESSION_TIMEOUT_S = 3.0  # the local broker allows it; a dead worker's market is taken over sooner
PYTHON = (sys.executable, "-m", "app")
WORKER_TIERS = {"projection": 2, "engine": 3, "relay": 4, "publisher": 4, "clock": 5, "liquidator": 5, "api": 6}
T = TypeVar("T")


async def run_exchange(settings: Settings) -> int:
    """Run until a signal stops it; returns the exit code."""
    tree = _Tree(settings)
    on_stop_signal(tree.stopped.set)
    raise_file_limit()
    try:
        await tree.serve()
    except (FolderTaken, PortTaken, CannotListen) as error:
        print(error, file=sys.stderr)
        return 2
    except (ChildFailed, RebuildRefused) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        await tree.close()
    _say("stopped")
    return 0


class _Tree:
    """The parts of one run."""

    def __init__(self, settings: Settings) -> None:
        self._given = settings
        self._settings = settings
        self._log = settings.data / "log"
        self._supervisor = Supervisor(settings.data, _say)
        self._metrics_ports: dict[str, int] = {}
        self._postgres = EmbeddedPostgres(settings.data / "postgres")
        self._making_cache: asyncio.Task[None] | None = None
        self.stopped = asyncio.Event()

    async def serve(self) -> None:
        """Start everything, and keep it running until stopped."""
        await self._supervisor.take_folder()
        check_port_is_free(self._given.http_host, self._given.port)
        shutil.rmtree(self._given.data / "faust", ignore_errors=True)  # empty folders of former processes
        _say(f"starting in {self._given.data}; Ctrl-C stops it")
        if await self._unless_stopped(self._start(self._given.port or free_port())):
            await self.stopped.wait()
        _say("stopping ...")

    async def close(self) -> None:
        """Stop every process and release DATA."""
        if self._making_cache:
            self._making_cache.cancel()
            await asyncio.wait({self._making_cache})
        await self._supervisor.stop()

    async def _start(self, port: int) -> None:
        addresses = await _both(self._start_database(), self._start_broker())
        named = dict(zip(("database_url", "broker_url"), addresses, strict=True))
        known = {"port": port, "session_timeout_s": self._given.session_or(LOCAL_SESSION_TIMEOUT_S), **named}
        self._settings = settings = self._given.model_copy(update=known)
        topics = await self._ask_broker(lambda: prepare_topics(settings))
        _stage("topics", f"{len(topics)} exist")
        if not self._given.broker_url and await self._ask_broker(lambda: has_lost_its_broker(settings)):
            await self._rebuild()
        url = local_url(settings.http_host, settings.port)
        self._fix_metrics_ports()
        self._supervisor.announce(
            url=url,
            database_url=settings.database_url,
            broker_url=settings.broker_url,
            cluster_id=await self._ask_broker(lambda: cluster_id(settings.broker_address)),
            session_timeout_s=settings.session_timeout_s,
        )
        for name, tier in WORKER_TIERS.items():
            await self._supervisor.add(name, self._worker(name), tier=tier)
        _stage("workers", f"{', '.join(WORKER_TIERS)} started; their logs are in {self._log}")
        await self._until_exchange_is_ready(url)
        if not self._given.broker_url:
            self._making_cache = asyncio.create_task(_make_cache(settings.kafka_heap))

    async def _rebuild(self) -> None:
        """The broker's folder was deleted, or is from an older release: rebuild on the empty broker.

        Workers that were started by hand with a BROKER_URL may still use the old broker: wait until they end.
        """
        _stage("broker", "is empty: rebuilding the markets from PostgreSQL")
        while True:
            try:
                await self._ask_broker(lambda: rebuild_markets(self._settings))
            except WorkersRun as error:
                _stage("broker", f"waiting to rebuild: {error}")
            else:
                return

    async def _start_database(self) -> str:
        """Start PostgreSQL and migrate it; returns its DSN."""
        began_s = time.monotonic()
        if not self._given.database_url:
            await self._supervisor.add("postgres", self._postgres, tier=0)
            _stage("postgres", f"started in {time.monotonic() - began_s:.1f} s")
        address = self._given.database_url or self._postgres.dsn
        specs = DEMO_MARKETS if self._given.demo and self._given.is_local else SEED_MARKETS
        newest = await prepare_database(self._given.model_copy(update={"database_url": address}), specs)
        _stage("tables", f"at migration {newest}")
        return address

    async def _start_broker(self) -> str:
        """Start a local Kafka, unless the operator named a broker; returns the address."""
        if self._given.broker_url:
            return self._given.broker_url
        began_s = time.monotonic()
        report = partial(_stage, "broker")
        kafka = LocalKafka(self._given.data / "kafka", heap=self._given.kafka_heap, report=report)
        address = await self._supervisor.add("broker", kafka, tier=1)
        report(f"Apache Kafka {KAFKA_VERSION} started in {time.monotonic() - began_s:.1f} s")
        return address

    def _fix_metrics_ports(self) -> None:
        """Give each worker its port for as long as this tree runs: those after METRICS_PORT, or after the API's; write the file that lists them.

        A port that another program has is replaced by a free one.
        """
        settings = self._settings
        first = settings.metrics_port or settings.port + 1
        workers = [name for name in WORKER_TIERS if name != "api"] + ["demo"] * self._given.demo
        ports = enumerate(workers, first)
        self._metrics_ports = {name: port_or_free(settings.metrics_host, port) for port, name in ports}
        addresses = {name: local_address(settings.metrics_host, port) for name, port in self._metrics_ports.items()}
        api = local_address(settings.http_host, settings.port)
        file = write_prometheus_file(settings.data, {"api": api} | addresses)
        _stage("metrics", f"prometheus --config.file={file}")

    async def _ask_broker(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the broker; the local one may die during the start, so retry while the supervisor restarts it."""
        while True:
            try:
                return await ask()
            except KafkaError:
                if self._given.broker_url:
                    raise
                await asyncio.sleep(ASK_AGAIN_S)

    def _worker(self, name: str) -> Worker:
        settings = self._settings
        environment = {
            **os.environ,
            "PORT": str(settings.port),
            "DATA": str(settings.data),
            "DATABASE_URL": settings.database_url,
            "BROKER_URL": settings.broker_url,
            "JWT_SECRET": signing_secret(settings),
            "ACCESS_LOG_FILE": str(self._given.access_log_file or self._log / "access.log"),
            "METRICS_PORT": str(self._metrics_ports.get(name, 0)),
            "SESSION_TIMEOUT_S": str(settings.session_timeout_s),
        }
        return Worker(name, [*PYTHON, name], env=environment, log=self._log / f"{name}.log")

    async def _until_exchange_is_ready(self, url: str) -> None:
        """Wait until ready: a command sent now has passed every log and reached the tables, and the API answers."""
        while await drain_markets(self._settings) is None:
            print(f"waiting for the workers; their logs are in {self._log}", file=sys.stderr)
        await _until_api_answers(url)
        _stage("api", f"answers at {url}")
        if self._given.demo:
            await self._start_demo()
        else:
            await self._report_markets_without_prices()
        names = ", ".join(view.id for view in await markets_now(self._settings))
        broker = self._given.broker_url or f"Apache Kafka {KAFKA_VERSION}"
        print(f"ready  {names} on {broker}, data in {self._settings.data}  {url}", flush=True)

    async def _start_demo(self) -> None:
        await self._supervisor.add(
            "demo", self._worker("demo"), tier=7, requires_ready=lambda: is_quoting(self._settings)
        )
        known = credentials(self._settings.data)
        for name in SHOWN:
            print(f"demo user {name}: {known[name].email}  password {known[name].password}", flush=True)
        print(f"{', '.join(TRADERS)} trade by themselves", flush=True)

    async def _report_markets_without_prices(self) -> None:
        """Report markets of an earlier demo: their prices came from it."""
        for name, index in (await all_index_sources(self._settings)).items():
            if index.sources:
                print(
                    f"{name} accepts no orders until its price sources report (`python -m app prices`, docs/prices.md);"
                    f" `python -m app market sources {name} --none` makes its index constant",
                    flush=True,
                )

    async def _unless_stopped(self, start: Coroutine[None, None, None]) -> bool:
        """Complete the start; false when the operator interrupted it."""
        starting, stopping = asyncio.ensure_future(start), asyncio.ensure_future(self.stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            starting.cancel()
            await asyncio.wait({starting})
            return False
        stopping.cancel()
        starting.result()
        return True


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the reader of a pipe is gone; the exchange goes on
        print(line, flush=True)


def _stage(name: str, what: str) -> None:
    """One line for a stage of the start."""
    _say(f"{name:<10} {what}")


async def _make_cache(heap: str) -> None:
    """Make the cache that speeds up later starts; a failure only leaves them slower."""
    with contextlib.suppress(ChildFailed, KafkaError, OSError):
        await make_cache(heap)


async def _both(*starts: Coroutine[None, None, str]) -> list[str]:
    """Run both; returns their results. The first failure cancels the other and is raised unwrapped."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(start) for start in starts]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _until_api_answers(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        while True:
            if await _answers(session):
                return
            await asyncio.sleep(0.05)


async def _answers(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/livez") as answer:  # not /readyz: markets wait for the prices that the demo brings
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False
