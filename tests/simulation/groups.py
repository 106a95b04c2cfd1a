"""The fake of Kafka's consumer groups, and of a client that is a member of one: it joins, must join again, and is evicted.

Who owns the shard is decided by the exchange's own assignor (broker/shards/group.py), as Kafka lets the leader of a group do.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaError

from broker.shards.group import SUBSCRIBED, SoleOwner
from tests.simulation.virtual_loop import Life, Process
from tests.simulation.world import World, current_process

if TYPE_CHECKING:
    from tests.simulation.broker import Broker

SESSION_TIMEOUT_S = 0.8
HEARTBEAT_EVERY_S = SESSION_TIMEOUT_S / 6
NOTICED_LATE_S = 1.0


class Group:
    """The members, who is the owner by the last decision, and the offsets committed as hints, by topic."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.generation = 0
        self.owner: FakeMember | None = None
        self.members: dict[str, FakeMember] = {}
        self.committed: dict[str, int] = {}
        self.on_commit: Callable[[str, int], None] = lambda *_: None
        self._joined: dict[str, Any] = {}
        self._decides = False

    def join(self, member: "FakeMember", metadata: Any) -> None:
        """A member joins, or joins again because the group decides."""
        if member.process.is_gone:
            return
        self.members[member.member_id] = member
        self._joined[member.member_id] = metadata
        self.rebalance()

    def members_of(self, process: Process) -> "list[FakeMember]":
        """The members that a process has."""
        return [member for member in self.members.values() if member.process is process]

    def rebalance(self) -> None:
        """Let all members join again, each at its next heartbeat, and decide when all have."""
        if not self._decides:
            self._decides = True
            for member in self.members.values():
                if member.member_id not in self._joined:
                    member.hears_later(HEARTBEAT_EVERY_S, member.rejoin)
        self._decide_if_all_are_there()

    def remove(self, member_id: str, why: str) -> None:
        """A member leaves, is evicted (LeaveGroup), or was silent for too long. If it lives, it notices at a heartbeat."""
        member = self.members.pop(member_id, None)
        if member is None:
            return
        self._joined.pop(member_id, None)
        self.world.note(f"{self.name} is without {member_id}: {why}")
        if self.owner is member:
            self.owner = None
        member.hears_later(NOTICED_LATE_S if self.world.happens(4) else HEARTBEAT_EVERY_S, member.rejoin)
        if self.members:
            self.rebalance()
        else:
            self.generation, self._decides = self.generation + 1, False

    def expire(self, member: "FakeMember", member_id: str) -> None:
        """The session of a silent member has timed out."""
        if member.process.life is not Life.RUNS:
            self.remove(member_id, "its session has timed out")

    def commit(self, member: "FakeMember", generation: int, offsets: Mapping[str, int]) -> None:
        """Keep offsets; raises CommitFailedError for a member that is not in this generation."""
        if generation != self.generation or self.members.get(member.member_id) is not member:
            raise CommitFailedError
        for topic, offset in offsets.items():
            self.committed[topic] = offset
            self.world.note(f"{self.name} commits {topic}@{offset}")
            self.on_commit(topic, offset)

    def _decide_if_all_are_there(self) -> None:
        if not self._decides or not self.members or self.members.keys() - self._joined.keys():
            return
        self.generation, self._decides = self.generation + 1, False
        leader = next(iter(self.members.values()))
        decided = leader.assignor.assign(None, self._joined)
        self._joined = {}
        self.owner = None
        for member_id, member in self.members.items():
            if decided[member_id].user_data:
                self.owner = member
            self.world.later_in(
                member.process, self.world.latency(), member.hear, self.generation, member_id, decided[member_id]
            )
        self.world.note(f"{self.name} generation {self.generation}: {self.owner and self.owner.member_id}")


class FakeMember:
    """In the place of the AIOKafkaConsumer that is a member of a shard's group."""

    def __init__(self, broker: "Broker", group_id: str, assignor: SoleOwner) -> None:
        self.process: Process = current_process()
        self.group = broker.group(group_id)
        self.assignor = assignor
        self.member_id = ""
        self._broker = broker
        self._topics: list[str] = []
        self._listener: Any = None
        self._coordinator = SimpleNamespace(
            group_id=group_id,
            generation=-1,
            member_id="",
            commit_offsets=self._commit_offsets,
            _push_error_to_user=None,
        )

    async def start(self) -> None:
        """Connect."""
        await asyncio.sleep(self.group.world.latency())
        if not self._broker.is_up:
            raise KafkaConnectionError("the broker is down")

    async def stop(self) -> None:
        """Leave the group; a broker that is down learns of it by the session."""
        self._topics = []
        world = self.group.world
        if not world.is_over:
            gone_after_s = world.latency() if self._broker.is_up else SESSION_TIMEOUT_S
            world.later(gone_after_s, self.group.remove, self.member_id, "it leaves")
            await asyncio.sleep(world.latency())

    def subscription(self) -> list[str]:
        """What it has subscribed to."""
        return self._topics

    def subscribe(self, topics: list[str], _pattern: None, listener: Any) -> None:
        """Join the group."""
        self._topics, self._listener = topics, listener
        self._join()

    def hears_later(self, within_s: float, call: Callable[[], None]) -> None:
        """Let it hear of something in the answer to its next heartbeat, when it runs."""
        world = self.group.world
        world.later_in(self.process, world.dice.uniform(0.0, within_s), call)

    def rejoin(self) -> None:
        """The answer to a heartbeat: the group decides again, or knows this member no more."""
        if not self._topics:
            return
        if not self._broker.is_up:
            self.hears_later(HEARTBEAT_EVERY_S, self.rejoin)
            return
        self._listener.on_partitions_revoked(set())
        self._join()

    def hear(self, generation: int, member_id: str, assignment: Any) -> None:
        """The group has decided, unless it has decided again since."""
        if not self._topics or generation != self.group.generation or self.group.members.get(member_id) is not self:
            return
        self.assignor.on_assignment(assignment)
        self._coordinator.generation, self._coordinator.member_id = generation, member_id
        self._listener.on_partitions_assigned(set())

    def _join(self) -> None:
        world = self.group.world
        if self.group.members.get(self.member_id) is not self:
            self.member_id = f"{world.dice.getrandbits(32):08x}-{self.process.name}"
        world.later(world.latency(), self._ask_to_join, self.member_id, self.assignor.metadata([SUBSCRIBED]))

    def _ask_to_join(self, member_id: str, metadata: Any) -> None:
        if not self._broker.is_up:
            self.hears_later(HEARTBEAT_EVERY_S, self.rejoin)
        elif self._topics and member_id == self.member_id:
            self.group.join(self, metadata)

    async def _commit_offsets(self, _: None, offsets: Mapping[Any, Any]) -> None:
        await asyncio.sleep(self.group.world.latency())
        if not self._broker.is_up:
            raise KafkaError
        self.group.commit(self, self._coordinator.generation, {tp.topic: kept.offset for tp, kept in offsets.items()})
