"""The processes of the exchange and their supervisor: they are started, die, are frozen, and come back."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from agents.clock import Clock
from agents.projection.persister import Persister
from agents.projection.worker import Projector
from agents.rebuild import needs_rebuild, rebuild
from agents.relay import Relay
from agents.worker.host import STOP_TIMEOUT_S, Host, Unit
from agents.worker.settings import StreamSettings
from api.submission.submission_queue import SubmissionQueue
from exchange.engine.log.snapshot_format import dump, state_hash
from schemas.market import RULES_FIRST, SEED_MARKETS
from schemas.topics import book_changelog_topic, commands_topic, events_topic
from schemas.wire import RULES_VERSION
from store.markets.registry import MarketRegistry
from store.submission import Submission
from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.members import (
    SESSION_TIMEOUT_S,
    EngineMember,
    Member,
    ProjectionMember,
    engine_group,
    projection_group,
)
from tests.simulation.virtual_loop import Life, Process
from tests.simulation.world import World

SETTINGS = StreamSettings("", "", datadir=Path(), session_timeout_s=SESSION_TIMEOUT_S)
NAMES = ("api-1", "api-2", "relay-1", "relay-2", "engine-1", "engine-2", "projection-1", "clock-1")
USERS = 12
USER_WALLETS = (2_000, 20_000, 1_000_000)


class System:
    """Everything that runs, with a restart for each process that dies."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broker = Broker(world)
        self.database = Database(world)
        self.running: dict[str, Process] = {}
        self.queues: dict[str, SubmissionQueue] = {}
        self.members: dict[Process, list[Member]] = {}
        self.is_rebuilding = False
        world.on_death = self._died
        self._list_markets()
        self.engines = {name: engine_group(world, name) for name in self.markets}
        self.projections = {name: projection_group(world, name) for name in self.markets}
        self.database.tables.cluster = self.broker.cluster_id

    @property
    def markets(self) -> list[str]:
        """The names of the listed markets."""
        return [market.name for market in self.database.tables.markets.values()]

    def _list_markets(self) -> None:
        names = ("BTC-PERP", "ETH-PERP", "TEA-PERP")[: self.world.dice.choice((2, 2, 3))]
        specs = [msgspec.structs.replace(SEED_MARKETS[i % 2], market=name) for i, name in enumerate(names)]
        for number, spec in enumerate(specs):  # the first by the newest rules, the others are moved on by the operator
            rules = RULES_FIRST if number else RULES_VERSION
            self.database.tables.list_market(spec, self.world.now(), rules)
        for user in range(1, USERS + 1):
            self.database.tables.add_user(user, self.world.dice.choice(USER_WALLETS) * 1_000_000)

    def start_all(self) -> None:
        """Start every process."""
        for name in NAMES:
            self.start(name)

    def start(self, name: str) -> None:
        """Start one, unless it runs, or the exchange is being rebuilt."""
        if name in self.running or (self.is_rebuilding and name != "rebuild-1"):
            return
        process = self.running[name] = Process(name)
        self.world.note(f"{name} starts")
        works: dict[str, Callable[[Process], Coroutine[Any, Any, None]]] = {
            "api": self._run_api,
            "relay": self._run_relay,
            "engine": self._run_engine,
            "projection": self._run_projection,
            "clock": self._run_clock,
            "rebuild": self._run_rebuild,
        }
        self.world.spawn(process, works[process.role](process))

    def freeze(self, name: str, for_s: float) -> None:
        """Stop an engine without killing it; its groups continue without it."""
        process = self.running.get(name)
        if process is not None and process.life is Life.RUNS:
            self.world.freeze(process, for_s)
            for member in self.members.get(process, ()):
                self.world.later(SESSION_TIMEOUT_S, member.group.suspect, member)
                self.world.later_in(process, for_s + self.world.dice.uniform(0.0, 0.3), member.come_back)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        if name in self.running:
            self.world.kill(self.running[name], "kill -9")

    def stop_gracefully(self, name: str) -> None:
        """SIGTERM."""
        process = self.running.get(name)
        if process is not None and process.life is Life.RUNS:
            self.world.note(f"{name} is stopped")
            self.world.counts["graceful stops"] += 1
            self.world.spawn(process, self._leave(process))

    def lose_broker(self) -> None:
        """The broker and all processes die; an empty broker is there when they come back."""
        self.world.counts["broker losses"] += 1
        self.is_rebuilding = True
        for process in list(self.running.values()):
            self.world.kill(process, "the broker is lost")
        self.broker.lose_all()
        for group in (*self.engines.values(), *self.projections.values()):
            group.members.clear()
            group.generation += 1
            group.committed = group.owner = None
        self.world.later(0.5, self.start, "rebuild-1")

    def cut_log(self) -> None:
        """A topic loses its newest records at any time."""
        market = self.world.dice.choice(self.markets)
        topic = self.world.dice.choice((commands_topic, events_topic, book_changelog_topic))(market)
        self.broker.lose_tail(topic, "lost log tails")

    def cut_log_after_recovery(self) -> None:
        """An events log loses what the next engine has read of it and the projection, standing still, has not."""
        dice, market = self.world.dice, self.world.dice.choice(self.markets)
        group = self.engines[market]
        if group.owner is None:
            return
        writer = group.owner.process
        self.broker.doomed[events_topic(market)] = writer
        self.freeze("projection-1", dice.uniform(1.0, 2.5))
        wait_s, way = dice.uniform(0.05, 0.3), dice.choice(("kill", "stop", "hand over", "hand over"))
        if way == "kill":
            self.world.later(wait_s, self.kill, writer.name)
        elif way == "stop":
            self.world.later(wait_s, self.stop_gracefully, writer.name)
        else:
            self.world.later(wait_s, group.hand_over)

    def cut_database(self, for_s: float) -> None:
        """PostgreSQL is down for a while."""
        self.world.counts["database outages"] += 1
        self.database.is_up = False
        self.database.cut_all_of()
        self.world.later(for_s, setattr, self.database, "is_up", True)

    def cut_broker(self, for_s: float) -> None:
        """Kafka is down for a while, and keeps what it has."""
        self.world.counts["broker outages"] += 1
        self.broker.is_up = False
        self.world.later(for_s, setattr, self.broker, "is_up", True)

    def market_state(self, market: str) -> str | None:
        """The hash of the state of the market's owner; None when it has none or lags behind."""
        owner = self.engines[market].owner
        if not isinstance(owner, EngineMember) or owner.process.life is not Life.RUNS:
            return None
        assignment = owner.matcher._assignment
        return state_hash(dump(assignment.market)) if assignment is not None else None

    def _died(self, process: Process) -> None:
        self.running.pop(process.name, None)
        self.queues.pop(process.name, None)
        self.world.later(self.world.latency(), self.database.cut_all_of, process)
        for member in self.members.pop(process, ()):
            self.world.later(SESSION_TIMEOUT_S, member.group.suspect, member)
        self.world.later(self.world.dice.uniform(0.1, 1.0), self.start, process.name)

    async def _leave(self, process: Process) -> None:
        """As agents.worker.host: what cannot stop in time is ended."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.gather(*(member.stop() for member in self.members.get(process, ())))
        finally:
            self.world.kill(process, "graceful stop")

    async def _run_api(self, process: Process) -> None:
        registry = MarketRegistry()
        submission = Submission(self.database.connect, registry)
        queue = SubmissionQueue([submission], self.world.now, dict)
        queue.start()
        self.queues[process.name] = queue

    async def _run_relay(self, _: Process) -> None:
        self._host([Relay(self.markets, SETTINGS)])

    async def _run_engine(self, process: Process) -> None:
        self._host_members(
            process,
            [EngineMember(process, self.engines[m], self.broker, m, SETTINGS) for m in self.markets],
        )

    async def _run_projection(self, process: Process) -> None:
        persister = Persister(SETTINGS)
        projectors = [Projector(market, SETTINGS, persister) for market in self.markets]
        self._host_members(
            process,
            [ProjectionMember(process, self.projections[each.market], self.broker, each) for each in projectors],
        )

    async def _run_clock(self, _: Process) -> None:
        self._host([Clock(SETTINGS)])

    async def _run_rebuild(self, process: Process) -> None:
        try:
            if await needs_rebuild(SETTINGS, self.broker.cluster_id):
                await rebuild(SETTINGS, self.markets, self.broker.cluster_id)
        except (OSError, asyncio.CancelledError, Exception) as error:  # noqa: BLE001 - the operator runs it again
            self.world.kill(process, f"rebuild failed: {type(error).__name__}")
            return
        self.is_rebuilding = False
        self.running.pop(process.name)
        process.life = Life.DEAD
        self.world.note("the exchange is rebuilt")
        self.start_all()

    def _host_members(self, process: Process, members: list[Any]) -> None:
        self.members[process] = members
        self._host(members)

    def _host(self, units: list[Any]) -> None:
        host = Host()
        for unit in units:
            added: Unit = unit
            host.add(added)
