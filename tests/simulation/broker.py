"""The fake of Kafka: logs with offsets, the groups, and a producer whose replies get lost."""

import asyncio
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from tests.simulation.groups import Group
from tests.simulation.virtual_loop import Process
from tests.simulation.world import World, current_process

LOST_RECORDS_MAX = 4
LEADER = 1
Record = tuple[bytes, bytes | None]


class Broker:
    """One partition a topic. `on_append` sees each record as it enters a log.

    `doomed`: topics whose log loses its tail as soon as another engine than this one, its writer, has read that back.
    `away`: markets whose topics are out of reach, with all they hold. `connection`: of all clients, till the broker ends.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs: dict[str, list[Record]] = {}
        self.groups: dict[str, Group] = {}
        self.is_up = True
        self.away: set[str] = set()
        self.life = 1
        self.connection = object()
        self.has_lost_tails = False
        self.doomed: dict[str, Process] = {}
        self.on_append: Callable[[Process, str, int, bytes, bytes | None], None] = lambda *_: None
        self.on_commit: Callable[[str, int], None] = lambda *_: None
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    @property
    def cluster_id(self) -> str:
        """Another one after every loss."""
        return f"cluster-{self.life}"

    def log(self, topic: str) -> list[Record]:
        """The records of a topic."""
        return self.logs.setdefault(topic, [])

    def append(self, writer: Process, topic: str, key: bytes, value: bytes | None) -> int:
        """Add a record; its offset."""
        log = self.log(topic)
        log.append((key, value))
        offset = len(log) - 1
        self.world.note(f"{topic}@{offset} {key!r} {hash_of(value)}")
        self.on_append(writer, topic, offset, key, value)
        self._wake(topic)
        return offset

    def wakes(self, topic: str, waiter: asyncio.Future[None]) -> None:
        """Set this when something is appended to a topic, or the broker or the topic is back."""
        waiting = self._waiting.setdefault(topic, [])
        waiting[:] = [other for other in waiting if not other.done()] + [waiter]

    def come_back(self) -> None:
        """The broker is up again, and has kept everything."""
        self.is_up = True
        self.connection = object()
        for topic in list(self._waiting):
            self._wake(topic)

    def is_away(self, topic: str) -> bool:
        """Whether a topic is out of reach."""
        return any(topic.endswith((f".{market}", f"-{market}-changelog")) for market in self.away)

    def bring_back(self, market: str) -> None:
        """The topics of a market are there again."""
        self.away.discard(market)
        for topic in list(self._waiting):
            self._wake(topic)

    def group(self, name: str) -> Group:
        """A consumer group."""
        if name not in self.groups:
            self.groups[name] = Group(self.world, name)
            self.groups[name].on_commit = self._has_committed
        return self.groups[name]

    def lose_tail(self, topic: str, name: str) -> None:
        """Lose some of the newest records of a topic, counted under the fault's name; possibly unnoticed for a while.

        Only a broker that ends loses them: it is up again at once, and its clients connect again.
        """
        self.world.counts[name] += 1
        self.connection = object()
        self.has_lost_tails = True
        log, records = self.log(topic), self.world.dice.randint(1, LOST_RECORDS_MAX)
        del log[max(0, len(log) - records) :]
        self.world.note(f"{topic} is cut to {len(log)}")

    def was_read_back(self, topic: str, reader: Process) -> None:
        """An engine knows the log's tail now, and has written nothing yet: the moment for a doomed log to lose it."""
        is_storm = not (self.world.is_calm or self.world.is_over)
        if is_storm and reader.role == "engine" and self.doomed.get(topic, reader) is not reader:
            del self.doomed[topic]
            self.lose_tail(topic, "lost log tails just read")

    def lose_all(self) -> None:
        """Lose everything; afterwards it is another broker."""
        self.life += 1
        self.connection = object()
        self.is_up = True
        self.doomed.clear()
        self.logs.clear()
        self.groups.clear()
        self.world.note(f"the broker is lost, now {self.cluster_id}")

    def _has_committed(self, topic: str, offset: int) -> None:
        self.on_commit(topic, offset)

    def _wake(self, topic: str) -> None:
        for waiter in self._waiting.pop(topic, ()):
            if not waiter.done():
                waiter.set_result(None)

    def table(self, topic: str) -> dict[bytes, bytes]:
        """A compacted topic: the last value of each key."""
        table: dict[bytes, bytes] = {}
        for key, value in self.log(topic):
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value
        return table


def hash_of(value: bytes | None) -> str:
    """A short name for bytes in the trace."""
    return "-" if value is None else f"{len(value)}:{zlib.crc32(value):08x}"


def point_of(topic: str, key: bytes) -> str:
    """What a record is, for the names of crash points."""
    if topic.endswith("-changelog"):
        return "head" if key.startswith(b"head/") else "chunk"
    return "command record" if topic.startswith("engine.commands") else "event record"


class _Connected:
    """What is seen of the client of a producer: its connection to the leader of every topic."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: LEADER)

    @property
    def _conns(self) -> dict[tuple[int, int], object]:
        return {(LEADER, ConnectionGroup.DEFAULT): self._broker.connection}


class FakeProducer:
    """In the place of AIOKafkaProducer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._process = current_process()
        self._message_accumulator = SimpleNamespace(
            _batches={},
            _pending_batches=set(),
            fail_all=lambda _: None,  # what was sent may arrive yet
        )
        self.client = _Connected(broker)

    async def start(self) -> None:
        """Connect."""
        await asyncio.sleep(self._broker.world.latency())
        if not self._broker.is_up:
            raise KafkaConnectionError("the broker is down")

    async def stop(self) -> None:
        """Disconnect."""

    async def send(
        self, topic: str, value: bytes | None, key: bytes, partition: int, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        """Send a record; the future has its offset."""
        assert (partition, headers) == (0, [])  # only dead letters have headers, and nothing is poisoned here
        world = self._broker.world
        sent: asyncio.Future[Any] = world.loop.create_future()
        world.later(world.latency(), self._arrive, self._broker.life, topic, key, value, sent)
        return sent

    def _arrive(self, life: int, topic: str, key: bytes, value: bytes | None, sent: asyncio.Future[Any]) -> None:
        world, process = self._broker.world, self._process
        if self._broker.is_away(topic):
            world.later(0.05, _settle, sent, KafkaTimeoutError("no answer about a topic"))
        elif not self._broker.is_up or life != self._broker.life:
            world.later(0.01, _settle, sent, KafkaConnectionError("the broker is down"))
        elif world.happens(60):
            world.counts["lost sends"] += 1
            world.later(0.05, _settle, sent, KafkaTimeoutError("no answer"))
        else:
            offset = self._broker.append(process, topic, key, value)
            if world.reached(process, point_of(topic, key)):
                return
            if world.happens(40):
                world.counts["lost acknowledgements"] += 1
                world.later(0.05, _settle, sent, KafkaTimeoutError("no answer"))
            else:
                world.later(world.latency(), _settle, sent, SimpleNamespace(offset=offset))


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
