"""The place of Faust: consumer groups that hand a market over, and the members that feed the real workers.

A member recovers its table from the changelog, lets its worker recover, and then reads from the committed offset. Records
come one to five times; what is acknowledged without a gap is committed twice a second, if the member is still in charge.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

from agents.matching.app import SNAPSHOT_CHECK_S
from agents.matching.worker import Matcher
from agents.projection.worker import Projector
from agents.worker.fail_stop import fail_fast
from agents.worker.settings import StreamSettings
from schemas.topics import book_changelog_topic, commands_topic, engine_app_id, events_topic, projection_app_id
from tests.simulation.broker import Broker
from tests.simulation.virtual_loop import Life, Process
from tests.simulation.world import World

SESSION_TIMEOUT_S = 0.8
COMMIT_EVERY_S = 0.25
COPY_EVERY_S = 1.5
REPEATED_ONE_IN = 12


class Group:
    """The member that owns the one partition, and the offset committed."""

    def __init__(self, world: World, name: str, topic: str) -> None:
        self.world = world
        self.name = name
        self.topic = topic
        self.committed: int | None = None
        self.generation = 0
        self.owner: Member | None = None
        self.members: list[Member] = []
        self.on_commit: Callable[[int], None] = lambda _: None

    def join(self, member: "Member") -> None:
        """A member comes; everyone is assigned again."""
        self.members.append(member)
        self.rebalance()

    def leave(self, member: "Member") -> None:
        """A member leaves, or has been silent for too long."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def suspect(self, member: "Member") -> None:
        """The session of a silent member has timed out."""
        if member.process.life is not Life.RUNS:
            self.leave(member)

    def rebalance(self) -> None:
        """Revoke from all members that respond, then assign the partition to one; rarely to another than before."""
        self.generation += 1
        if self.owner not in self.members or self.world.happens(4):
            self.owner = self.world.dice.choice(self.members) if self.members else None
        self.world.note(f"{self.name} generation {self.generation}: {self.owner and self.owner.process.name}")
        for member in self.members:
            self.world.later_in(member.process, self.world.dice.uniform(0.0, 0.01), member.revoke)
        if self.owner is not None:
            wait_s = self.world.dice.uniform(0.02, 0.06)
            self.world.later_in(self.owner.process, wait_s, self.owner.assign, self.generation)

    def hand_over(self) -> None:
        """Take the partition from its owner, who lives on, and give it to any."""
        self.owner = None
        self.rebalance()

    def commit(self, generation: int, offset: int) -> None:
        """A member commits; one that is not in charge any more is not heard."""
        if generation == self.generation:
            self.committed = offset
            self.on_commit(offset)
            self.world.note(f"{self.name} commits {offset}")


class Message:
    """What Faust calls an event: a record, and its acknowledgement."""

    def __init__(self, member: "Member", generation: int, offset: int, value: bytes) -> None:
        self.message = SimpleNamespace(partition=0, offset=offset, value=value, timestamp=member.world.now() / 1e6)
        self._member = member
        self._generation = generation

    def ack(self) -> None:
        """The record is done with."""
        if self._member.generation == self._generation:
            self._member.acked.add(self.message.offset)


class Member:
    """Reads the group's topic for a worker."""

    def __init__(self, process: Process, group: Group, broker: Broker) -> None:
        self.process = process
        self.group = group
        self.world = group.world
        self.broker = broker
        self.generation: int | None = None
        self.acked: set[int] = set()
        self._commit_from = 0
        self._queue: deque[Message] = deque()
        self._has_come = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def name(self) -> str:
        """The app's id."""
        return self.group.name

    async def start(self) -> None:
        """Join, and start to work."""
        for work in (self._work(), self._commit_often()):
            asyncio.create_task(work)  # noqa: RUF006 - the world keeps the process
        await asyncio.sleep(self.world.latency())
        self.group.join(self)

    async def wait(self) -> None:
        """Never: it ends with its process."""
        await self._ended.wait()

    async def stop(self) -> None:
        """Commit, and leave at once."""
        if self.generation is not None:
            self._commit()
        self.group.leave(self)

    def revoke(self) -> None:
        """The partition is not ours now."""
        self.generation = None
        self._queue.clear()
        self.released()

    def assign(self, generation: int) -> None:
        """The partition is ours, unless there was another rebalance since."""
        if generation == self.group.generation and self.group.owner is self:
            asyncio.create_task(self._begin(generation))  # noqa: RUF006 - as above

    def come_back(self) -> None:
        """After a freeze: notice that the group rebalanced, and join again."""
        if self not in self.group.members:
            self.revoke()
            self.group.join(self)

    def released(self) -> None:
        """Notify the worker that the partition is revoked."""

    async def recovered(self) -> None:
        """Let the worker recover."""

    async def handle(self, message: Message) -> None:
        """Let the worker have a record."""
        raise NotImplementedError

    async def _begin(self, generation: int) -> None:
        self.process.is_recovering = True
        await self.recovered()
        self.process.is_recovering = False
        if generation != self.group.generation:
            return
        self._queue.clear()
        self.acked.clear()
        self.generation = generation
        await self._read(generation, self.group.committed or 0)

    async def _read(self, generation: int, position: int) -> None:
        self._commit_from = position
        while self.generation == generation:
            log = self.broker.log(self.group.topic)
            if position > len(log):  # out of range: from the earliest on
                position = self._commit_from = 0
                self.acked.clear()
            if position == len(log) or not self.broker.is_up:
                await self.broker.beyond(self.group.topic)
            await asyncio.sleep(self.world.latency())
            batch = log[position : position + self.world.dice.randint(1, 4)]
            if self.generation == generation:
                self._deliver(generation, position, batch)
            position += len(batch)

    def _deliver(self, generation: int, position: int, batch: list[tuple[bytes, bytes | None]]) -> None:
        for offset, (_, value) in enumerate(batch, position):
            copies = self.world.dice.randint(2, 5) if self.world.happens(REPEATED_ONE_IN) else 1
            self.world.counts["repeated deliveries"] += copies - 1
            self._queue.extend(Message(self, generation, offset, value or b"") for _ in range(copies))
        self._has_come.set()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._has_come.clear()
                await self._has_come.wait()
            await self.handle(self._queue.popleft())

    async def _commit_often(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            self._commit()

    def _commit(self) -> None:
        upto = self._commit_from
        while upto in self.acked:
            self.acked.remove(upto)
            upto += 1
        if upto > self._commit_from and self.generation is not None:
            self._commit_from = upto
            self.world.later(self.world.latency(), self.group.commit, self.generation, upto)


class EngineMember(Member):
    """Feeds the real Matcher of one market."""

    def __init__(self, process: Process, group: Group, broker: Broker, market: str, settings: StreamSettings) -> None:
        super().__init__(process, group, broker)
        self.market = market
        self.table = SimpleNamespace(data=SimpleNamespace(data={}))
        self.matcher = Matcher(market, settings, self.table)

    async def start(self) -> None:
        """Join, with the timers of the app."""
        asyncio.create_task(self._every(SNAPSHOT_CHECK_S / 4, "snapshot_if_due"))  # noqa: RUF006 - as above
        asyncio.create_task(self._every(COPY_EVERY_S, "copy_to_database"))  # noqa: RUF006 - as above
        await super().start()

    async def stop(self) -> None:
        """As ShardUnit.stop: take a last snapshot, then leave the group."""
        await self.matcher.close()
        await super().stop()
        await self.matcher.disconnect()

    def released(self) -> None:
        """The market belongs to another member."""
        self.matcher.release()

    async def recovered(self) -> None:
        """The table from its changelog, then the market."""
        await asyncio.sleep(self.world.latency())
        self.table.data.data.clear()
        self.table.data.data.update(self.broker.table(book_changelog_topic(self.market)))
        await fail_fast(self.matcher.recover(), self.matcher.name)

    async def handle(self, message: Message) -> None:
        """Match a command record."""
        await fail_fast(self.matcher.handle(message), self.matcher.name)

    async def _every(self, period_s: float, name: str) -> None:
        while True:
            await asyncio.sleep(period_s)
            await fail_fast(getattr(self.matcher, name)(), self.matcher.name)


class ProjectionMember(Member):
    """Feeds the real Projector of one market; those of a process share a persister."""

    def __init__(self, process: Process, group: Group, broker: Broker, projector: Projector) -> None:
        super().__init__(process, group, broker)
        self.projector = projector

    async def start(self) -> None:
        """Join, with the task of the app."""
        asyncio.create_task(fail_fast(self.projector.work(), self.projector.name))  # noqa: RUF006 - as above
        await super().start()

    async def handle(self, message: Message) -> None:
        """Let an event record wait for the next transaction."""
        await fail_fast(self.projector.take(message), self.projector.name)


def engine_group(world: World, market: str) -> Group:
    """The group of a market's engines."""
    return Group(world, engine_app_id(market), commands_topic(market))


def projection_group(world: World, market: str) -> Group:
    """The group of a market's projections."""
    return Group(world, projection_app_id(market), events_topic(market))
