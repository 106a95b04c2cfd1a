"""The fakes of the consumers without a group: the one that reads all logs of a shard, and those that look at one log's tail."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from tests.simulation.broker import Broker, Record
from tests.simulation.groups import FakeMember
from tests.simulation.virtual_loop import Process
from tests.simulation.world import current_process

AWAY_S = 0.05
FETCHED_MAX = 50
REPEATED_ONE_IN = 12


def shard_client(broker: Broker, group_id: str | None, **options: Any) -> "FakeMember | ShardReader":
    """In the place of `AIOKafkaConsumer` in a shard's consumer: a member of its group, or the reader of its logs."""
    if group_id is None:
        return ShardReader(broker)
    (assignor,) = options["partition_assignment_strategy"]
    return FakeMember(broker, group_id, assignor)


class _Client:
    """What both kinds of readers do."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.process: Process = current_process()
        self._positions: dict[TopicPartition, int] = {}
        self._fetcher = SimpleNamespace(_fetch_max_wait_ms=0, _in_flight=set())  # who waits here is woken at once

    async def start(self) -> None:
        """Connect."""
        await asyncio.sleep(self.broker.world.latency())
        if not self.broker.is_up:
            raise KafkaConnectionError("the broker is down")

    async def stop(self) -> None:
        """Disconnect."""

    def assignment(self) -> set[TopicPartition]:
        """What is read."""
        return set(self._positions)

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these logs, and no others; where from is said later."""
        self._positions = {each: self._positions.get(each, 0) for each in partitions}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read from there."""
        self._positions[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        """What is read next."""
        return self._positions[partition]

    def _fetched(self, partition: TopicPartition, records: list[tuple[int, Record]]) -> list[Any]:
        now_ms = self.broker.world.now() // 1_000
        named = {"topic": partition.topic, "partition": 0, "timestamp": now_ms, "timestamp_type": 0, "headers": ()}
        sizes = {"checksum": None, "serialized_key_size": 0, "serialized_value_size": 0}
        return [
            SimpleNamespace(offset=offset, key=key, value=value, **named, **sizes) for offset, (key, value) in records
        ]


class ShardReader(_Client):
    """Reads many logs. A record may come several times; an offset beyond a log's end starts it again from its first."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._paused: set[TopicPartition] = set()
        self._client = SimpleNamespace(send=None)  # and sends no fetches
        self._waiter: asyncio.Future[None] | None = None

    def assign(self, partitions: list[TopicPartition]) -> None:
        """As above; nothing is paused then."""
        super().assign(partitions)
        self._paused.clear()
        self._wake()

    def unsubscribe(self) -> None:
        """Read nothing."""
        self.assign([])

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch nothing of these."""
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetch them again."""
        self._paused.difference_update(partitions)
        self._wake()

    async def getmany(self, timeout_ms: int) -> Mapping[TopicPartition, list[Any]]:  # noqa: ARG002 - woken by what comes
        """Some records of some logs, as soon as there are any."""
        while True:
            await asyncio.sleep(self.broker.world.latency())
            if self.broker.is_up and (found := self._fetch()):
                return found
            self._waiter = waiter = self.broker.world.loop.create_future()
            for partition in self._positions:
                self.broker.wakes(partition.topic, waiter)
            await waiter

    async def end_offsets(self, partitions: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offsets that the next records get."""
        await asyncio.sleep(self.broker.world.latency())
        if not self.broker.is_up:
            raise KafkaConnectionError("the broker is down")
        return {each: len(self.broker.log(each.topic)) for each in partitions}

    def _fetch(self) -> dict[TopicPartition, list[Any]]:
        world, found = self.broker.world, {}
        for partition, position in self._positions.items():
            log = self.broker.log(partition.topic)
            at = position if position <= len(log) else 0
            batch = log[at : at + world.dice.randint(1, 4)] if partition not in self._paused else []
            if not batch or self.broker.is_away(partition.topic):
                continue
            self._positions[partition] = at + len(batch)
            records: list[tuple[int, Record]] = []
            for offset, record in enumerate(batch, at):
                copies = world.dice.randint(2, 5) if world.happens(REPEATED_ONE_IN) else 1
                world.counts["repeated deliveries"] += copies - 1
                records += [(offset, record)] * copies
            found[partition] = self._fetched(partition, records)
        return found

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class TailReader(_Client):
    """In the place of the consumer of one look at a log (broker/kept_readers.py)."""

    async def stop(self) -> None:
        """Disconnect."""
        for partition, position in self._positions.items():
            if position > 0:
                self.broker.was_read_back(partition.topic, self.process)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Logs start at 0."""
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The offsets that the next records get; no answer for a topic that is unavailable."""
        await asyncio.sleep(self.broker.world.latency())
        if any(self.broker.is_away(each.topic) for each in partitions):
            await asyncio.sleep(AWAY_S)
            raise KafkaTimeoutError("no answer about a topic")
        return {each: len(self.broker.log(each.topic)) for each in partitions}

    async def getmany(self, partition: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        """Some records, or none for now."""
        await asyncio.sleep(self.broker.world.latency())
        if self.broker.world.reached(self.process, "read"):
            await asyncio.sleep(0)
        log, position = self.broker.log(partition.topic), self._positions[partition]
        if not self.broker.is_up or position >= len(log) or self.broker.is_away(partition.topic):
            await asyncio.sleep(timeout_ms / 1_000)
            return {}
        records = list(enumerate(log[position : position + FETCHED_MAX], position))
        self._positions[partition] = position + len(records)
        return {partition: self._fetched(partition, records)}
