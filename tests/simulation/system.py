"""The processes of the exchange and their supervisor: they are started, die, are frozen, and come back."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from agents.activator import Activator
from agents.clock import Clock
from agents.hosting import HostedShards
from agents.rebuild import needs_rebuild, rebuild
from agents.relay import Relay
from agents.shard.market_work import Build
from agents.shard.placement import EVERYTHING, PlacementWatch, Scope, Served
from agents.shard.unit import ShardUnit
from agents.worker.database import DATABASE_ERRORS
from agents.worker.fail_stop import fail_fast
from agents.worker.host import Host, Unit
from agents.worker.settings import StreamSettings
from agents.worker.topic_watch import TopicWatch
from api.submission.submission_queue import SubmissionQueue
from exchange.engine.log.snapshot_format import dump, state_hash
from schemas.market import RULES_FIRST, SEED_MARKETS
from schemas.topics import book_changelog_topic, commands_topic, events_topic, shard_app_id
from schemas.wire import RULES_VERSION
from store.markets.placement import MAIN_SHARD, place_markets
from store.markets.registry import MarketRegistry
from store.session.presence import Work
from store.submission import Submission
from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.groups import SESSION_TIMEOUT_S, FakeMember, Group
from tests.simulation.virtual_loop import Life, Process
from tests.simulation.workers import Workers
from tests.simulation.world import World

SETTINGS = StreamSettings("", "", datadir=Path(), session_timeout_s=SESSION_TIMEOUT_S)
NAMES = (
    *("api-1", "api-2", "relay-1", "relay-2", "engine-1", "engine-2"),
    *("projection-1", "projection-2", "clock-1", "activator-1", "activator-2"),
)
SHARDS = (MAIN_SHARD, "side")
ELSEWHERE = 0.25
"""The share of markets that begin in any shard; the others begin in the main one."""
EVICTED_WITHIN_S = 0.3
SECOND_PROJECTION = 0.5
"""The share of seeds with a standby of the projection."""
SCOPES = (EVERYTHING, EVERYTHING, *(Scope(shards=(shard,)) for shard in SHARDS))
"""What a second worker may have to serve; the first serves everything."""
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
        self.hosts: dict[Process, Host] = {}
        self.workers = Workers()
        self.is_rebuilding = False
        world.on_death = self._died
        self._list_markets()
        self.names = [name for name in NAMES if name != "projection-2" or world.dice.random() < SECOND_PROJECTION]
        self.scopes = {name: EVERYTHING if name.endswith("-1") else world.dice.choice(SCOPES) for name in NAMES}
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
            if self.world.dice.random() < ELSEWHERE:
                self.database.tables.named(spec.market).shard = self.world.dice.choice(SHARDS)
        for user in range(1, USERS + 1):
            self.database.tables.add_user(user, self.world.dice.choice(USER_WALLETS) * 1_000_000)

    def start_all(self) -> None:
        """Start every process."""
        for name in self.names:
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
            "activator": self._run_activator,
            "rebuild": self._run_rebuild,
        }
        self.world.spawn(process, works[process.role](process))

    def freeze(self, name: str, for_s: float) -> None:
        """Stop a worker without killing it; its groups continue without it."""
        process = self.running.get(name)
        if process is not None and process.life is Life.RUNS:
            self.world.freeze(process, for_s)
            self._will_expire(process)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        if name in self.running:
            self.world.kill(self.running[name], "kill -9")

    def stop_gracefully(self, name: str) -> None:
        """SIGTERM."""
        process = self.running.get(name)
        if process is not None and process.life is Life.RUNS and process in self.hosts:
            self.world.note(f"{name} is stopped")
            self.world.counts["graceful stops"] += 1
            self.hosts[process].stopping.set()

    def place(self, market: str, shard: str) -> None:
        """An operator places a market in a shard."""
        self.world.spawn(Process("operator-2"), self._place(market, shard))

    def evict(self, group: Group) -> None:
        """Somebody sends LeaveGroup for the owner of a shard, who may live: then it works on until it notices."""
        if group.owner is not None:
            self.world.counts["evictions of a living owner"] += group.owner.process.life is Life.RUNS
            group.remove(group.owner.member_id, "it is evicted")

    def rebalance(self, group: Group) -> None:
        """The group decides again, for whatever reason."""
        self.world.counts["rebalances"] += 1
        group.rebalance()

    def take_away(self, market: str, for_s: float) -> None:
        """The topics of a market are out of reach for a while; its work rests, and that of the others goes on."""
        self.world.counts["markets at fault"] += 1
        self.world.note(f"the topics of {market} are away")
        self.broker.away.add(market)
        self.world.later(for_s, self.broker.bring_back, market)

    def lose_broker(self) -> None:
        """The broker and all processes die; an empty broker is there when they come back."""
        self.world.counts["broker losses"] += 1
        self.is_rebuilding = True
        for process in list(self.running.values()):
            self.world.kill(process, "the broker is lost")
        self.broker.lose_all()
        self.world.later(0.5, self.start, "rebuild-1")

    def cut_log(self) -> None:
        """A topic loses its newest records at any time."""
        market = self.world.dice.choice(self.markets)
        topic = self.world.dice.choice((commands_topic, events_topic, book_changelog_topic))(market)
        self.broker.lose_tail(topic, "lost log tails")

    def cut_log_after_recovery(self) -> None:
        """An events log loses what the next engine has read of it and the projection, standing still, has not."""
        dice, market = self.world.dice, self.world.dice.choice(self.markets)
        owner = self.owner_of(market)
        if owner is None:
            return
        writer = owner.process
        self.broker.doomed[events_topic(market)] = writer
        self.freeze("projection-1", dice.uniform(1.0, 2.5))
        wait_s, way = dice.uniform(0.05, 0.3), dice.choice(("kill", "stop", "hand over", "hand over"))
        if way == "kill":
            self.world.later(wait_s, self.kill, writer.name)
        elif way == "stop":
            self.world.later(wait_s, self.stop_gracefully, writer.name)
        else:
            self.world.later(wait_s, self.evict, owner.group)

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
        self.world.later(for_s, self.broker.come_back)

    def owner_of(self, market: str) -> FakeMember | None:
        """The member whose engine matches this market now, by its group."""
        shard = self.database.tables.named(market).shard
        return self.broker.group(shard_app_id(Work.ENGINE, shard)).owner

    def market_state(self, market: str) -> str | None:
        """The hash of the state of the market's owner; None when it has none or lags behind."""
        owner = self.owner_of(market)
        if owner is None or owner.process.life is not Life.RUNS:
            return None
        engine = self.workers.engines.get((owner.process, market))
        assignment = engine.matcher._assignment if engine is not None else None
        return state_hash(dump(assignment.market)) if assignment is not None else None

    def _died(self, process: Process) -> None:
        self.running.pop(process.name, None)
        self.queues.pop(process.name, None)
        self.hosts.pop(process, None)
        self.workers.forget(process)
        self.world.later(self.world.latency(), self.database.cut_all_of, process)
        if self.world.happens(2):  # somebody stands by, and has seen the session with PostgreSQL end
            for group in self.broker.groups.values():
                for member in group.members_of(process):
                    self.world.counts["evictions of a dead member"] += 1
                    self.world.later(
                        self.world.dice.uniform(0.0, EVICTED_WITHIN_S), group.remove, member.member_id, "it is evicted"
                    )
        self._will_expire(process)
        self.world.later(self.world.dice.uniform(0.1, 1.0), self.start, process.name)

    def _will_expire(self, process: Process) -> None:
        for group in self.broker.groups.values():
            for member in group.members_of(process):
                self.world.later(SESSION_TIMEOUT_S, group.expire, member, member.member_id)

    async def _place(self, market: str, shard: str) -> None:
        try:
            session = await self.database.connect()
            await place_markets(session, [market], shard)  # type: ignore[arg-type]  # the fake of a session
            await session.close()
        except DATABASE_ERRORS as error:  # its connection was cut: it may have been placed or not
            self.world.note(f"the operator got {type(error).__name__}")
        else:
            self.world.counts["placements"] += 1

    async def _run_api(self, process: Process) -> None:
        registry = MarketRegistry()
        submission = Submission(self.database.connect, registry)
        queue = SubmissionQueue([submission], self.world.now, dict)
        queue.start()
        self.queues[process.name] = queue

    async def _run_relay(self, process: Process) -> None:
        """As agents.run.run_relay."""
        relay = Relay((), SETTINGS, _watch(Work.RELAY))

        async def follow(served: Served) -> None:
            relay.set_markets(served.at_work)

        await self._host(process, [relay, PlacementWatch(EVERYTHING, SETTINGS, follow)])

    async def _run_engine(self, process: Process) -> None:
        await self._run_shards(process, Work.ENGINE, self.workers.engine)

    async def _run_projection(self, process: Process) -> None:
        await self._run_shards(process, Work.PROJECTION, self.workers.projections(SETTINGS))

    async def _run_clock(self, process: Process) -> None:
        await self._host(process, [Clock(SETTINGS)])

    async def _run_activator(self, process: Process) -> None:
        await self._host(process, [Activator(SETTINGS)])

    async def _run_shards(self, process: Process, work: Work, build: Build) -> None:
        """As agents.run does for engines, projections and publishers."""
        host, watch = Host(), _watch(work)
        hosted = HostedShards(host, lambda shard: ShardUnit(work, shard, SETTINGS, build, watch=watch))
        await self._host(process, [PlacementWatch(self.scopes[process.name], SETTINGS, hosted.follow)], host)

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

    async def _host(self, process: Process, units: list[Unit], host: Host | None = None) -> None:
        """Until it is stopped; its supervisor starts it again."""
        self.hosts[process] = host or Host()
        await self.hosts[process].run(units)
        self.world.kill(process, "graceful stop")


def _watch(work: Work) -> TopicWatch:
    watch = TopicWatch(work, SETTINGS)
    asyncio.create_task(fail_fast(watch.run(), f"the topics of {work}"))  # noqa: RUF006 - the loop holds on to its tasks
    return watch
