"""`run`: the whole exchange on this machine, as one supervised process tree.

    1. claim DATA            4. topics, and after the loss of an embedded broker the rebuild
    2. PostgreSQL, tables    5. projection, engine, relay, publisher, clock, liquidator, api, demo
    3. the broker            6. a barrier through every log, then `ready … URL`

An embedded broker that dies, or has grown too large (it never forgets), takes the tree from step 3 again; PostgreSQL,
the API and the demo stay up meanwhile, and what is sent waits in the outbox.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Coroutine

import aiohttp

from agents.rebuild import RebuildRefused, WorkersRun
from app.compose import prepare_database, prepare_topics, rebuild_markets
from app.demo import is_quoting
from app.demo.markets import DEMO_MARKETS
from app.demo.traders import credentials
from app.local.broker import EmbeddedBroker
from app.local.folder_lock import FolderTaken
from app.local.kafka import LocalKafka
from app.local.postgres import EmbeddedPostgres
from app.local.process import Child, ChildFailed, PortTaken, check_port_is_free, free_port
from app.local.supervisor import Supervisor
from app.local.worker import Worker
from app.operator import all_index_sources, drain_markets, markets_now
from app.settings import BrokerKind, Settings, signing_secret
from app.topics import cluster_id
from schemas.market import SEED_MARKETS

MIB = 2**20
LOOK_EVERY_S = 5.0
LOCAL_SESSION_TIMEOUT_S = 3.0  # our own brokers allow it; a dead worker's market is taken over sooner
PYTHON = (sys.executable, "-m", "app")
WORKER_TIERS = {"projection": 2, "engine": 3, "relay": 4, "publisher": 4, "clock": 5, "liquidator": 5, "api": 6}
NEED_NO_BROKER = ("postgres", "api", "demo")


async def run_exchange(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    tree = _Tree(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, tree.stopped.set)
    try:
        await tree.serve()
    except (FolderTaken, PortTaken) as error:
        print(error, file=sys.stderr)
        return 2
    except (ChildFailed, RebuildRefused) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        await tree.close()
    return 0


class _Tree:
    """The parts of one run."""

    def __init__(self, settings: Settings) -> None:
        self._given = settings
        self._settings = settings
        self._log = settings.data / "log"
        self._supervisor = Supervisor(settings.data, on_critical_death=lambda _: self._broker_died.set())
        self._postgres = EmbeddedPostgres(settings.data / "postgres")
        self._broker: EmbeddedBroker | LocalKafka | None = None
        self._broker_died = asyncio.Event()
        self.stopped = asyncio.Event()

    async def serve(self) -> None:
        """Start, and start again when an embedded broker is gone, until stopped."""
        await self._supervisor.take_folder()
        check_port_is_free(self._given.http_host, self._given.port)
        shutil.rmtree(self._given.data / "faust", ignore_errors=True)  # empty folders of processes that are gone
        port = self._given.port or free_port()
        while not self.stopped.is_set():
            self._broker_died.clear()
            if await self._unless_interrupted(self._start(port)):
                await self._until_stopped_or_broker_lost()
            if self._broker_died.is_set():
                self._give_up_workers()
            await self._supervisor.stop_children(but=() if self.stopped.is_set() else NEED_NO_BROKER)

    async def close(self) -> None:
        """End every process and give DATA back."""
        await self._supervisor.stop()

    async def _start(self, port: int) -> None:
        addresses = await _both(self._start_database(), self._start_broker())
        named = dict(zip(("database_url", "broker_url"), addresses, strict=True))
        known = {"port": port, "session_timeout_s": self._given.session_or(LOCAL_SESSION_TIMEOUT_S), **named}
        self._settings = settings = self._given.model_copy(update=known)
        await prepare_topics(settings)
        if isinstance(self._broker, EmbeddedBroker):
            await self._rebuild()
        url = f"http://{settings.http_host}:{settings.port}"
        self._supervisor.announce(
            url=url,
            database_url=settings.database_url,
            broker_url=settings.broker_url,
            cluster_id=await cluster_id(settings.broker_address),
            session_timeout_s=settings.session_timeout_s,
        )
        for name, tier in WORKER_TIERS.items():
            await self._keep(name, self._worker(name), tier=tier)
        await self._until_it_matches(url)

    async def _rebuild(self) -> None:
        """Workers that were started beside this tree, with a broker named, may still be at the old one: wait for their end."""
        while True:
            try:
                await rebuild_markets(self._settings)
            except WorkersRun as error:
                print(f"the empty broker waits: {error}", flush=True)
            else:
                return

    async def _start_database(self) -> str:
        """PostgreSQL with its tables; its address."""
        if not self._given.database_url:
            await self._keep("postgres", self._postgres, tier=0)
        address = self._given.database_url or self._postgres.dsn
        specs = DEMO_MARKETS if self._given.demo and self._given.is_local else SEED_MARKETS
        await prepare_database(self._given.model_copy(update={"database_url": address}), specs)
        return address

    async def _start_broker(self) -> str:
        """The broker that the operator asked for; its address."""
        if self._given.broker_url:
            return self._given.broker_url
        is_embedded = self._given.broker is BrokerKind.EMBEDDED
        data = self._given.data
        self._broker = EmbeddedBroker(self._log / "broker.log") if is_embedded else LocalKafka(data / "kafka")
        return await self._supervisor.add("broker", self._broker, tier=1, critical=is_embedded)

    async def _keep(self, name: str, child: Child, *, tier: int) -> None:
        """Start a child, unless it has outlived the last broker."""
        if not self._supervisor.keeps(name):
            await self._supervisor.add(name, child, tier=tier)

    def _give_up_workers(self) -> None:
        """Without a broker they could only wait for it; what they hold is in the tables and the snapshots."""
        for name, pid in self._supervisor.pids.items():
            if name not in NEED_NO_BROKER:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _worker(self, name: str) -> Worker:
        settings = self._settings
        environment = {
            **os.environ,
            "PORT": str(settings.port),
            "DATA": str(settings.data),
            "DATABASE_URL": settings.database_url,
            "BROKER_URL": settings.broker_url,
            "JWT_SECRET": signing_secret(settings),
            "METRICS_PORT": "0",  # a free one for each; `status --workers` tells which
            "SESSION_TIMEOUT_S": str(settings.session_timeout_s),
        }
        return Worker(name, [*PYTHON, name], env=environment, log=self._log / f"{name}.log")

    async def _until_it_matches(self, url: str) -> None:
        """Ready means: a command sent now has gone through every log and into the tables, and the API answers."""
        while await drain_markets(self._settings) is None:
            print(f"waiting for the workers; their logs are in {self._log}", file=sys.stderr)
        await _until_ready(url)
        if self._given.demo and not self._supervisor.keeps("demo"):
            await self._start_demo()
        if not self._given.demo:
            await self._tell_who_waits_for_prices()
        names = ", ".join(view.id for view in await markets_now(self._settings))
        print(f"ready  {names} on {self._settings.broker} broker, data in {self._settings.data}  {url}", flush=True)

    async def _start_demo(self) -> None:
        await self._supervisor.add(
            "demo", self._worker("demo"), tier=7, requires_ready=lambda: is_quoting(self._settings)
        )
        for name, one in credentials(self._settings.data).items():
            print(f"demo user {name}: {one.email}  password {one.password}", flush=True)

    async def _tell_who_waits_for_prices(self) -> None:
        """Markets of an earlier demo: their prices came from it."""
        for name, index in (await all_index_sources(self._settings)).items():
            if index.sources:
                print(
                    f"{name} takes no orders until its price sources report (`python -m app prices`, docs/prices.md);"
                    f" `python -m app market sources {name} --none` makes its index constant",
                    flush=True,
                )

    async def _until_stopped_or_broker_lost(self) -> None:
        while not (self.stopped.is_set() or self._broker_died.is_set()):
            if self._broker_is_full():
                print(
                    "the embedded broker is full: an empty one takes its place, the markets pause meanwhile", flush=True
                )
                return
            await _either(self.stopped, self._broker_died, within_s=LOOK_EVERY_S)

    def _broker_is_full(self) -> bool:
        bytes_max = self._settings.embedded_broker_max_mib * MIB
        return isinstance(self._broker, EmbeddedBroker) and self._broker.memory_bytes() > bytes_max

    async def _unless_interrupted(self, start: Coroutine[None, None, None]) -> bool:
        """Go through with the start; false when the operator stopped, or the broker was lost, meanwhile."""
        starting = asyncio.ensure_future(start)
        interruptions = [asyncio.ensure_future(event.wait()) for event in (self.stopped, self._broker_died)]
        await asyncio.wait({starting, *interruptions}, return_when=asyncio.FIRST_COMPLETED)
        is_interrupted = any(each.done() for each in interruptions)
        for each in interruptions:
            each.cancel()
        if is_interrupted:
            starting.cancel()
            await asyncio.wait({starting})
            return False
        starting.result()
        return True


async def _both(*starts: Coroutine[None, None, str]) -> list[str]:
    """Their results; the first that fails cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(start) for start in starts]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _either(*events: asyncio.Event, within_s: float) -> None:
    """Wait until one of them is set, or time is up."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _until_ready(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        while True:
            if await _is_ready(session):
                return
            await asyncio.sleep(0.05)


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False
