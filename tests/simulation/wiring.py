"""Putting the fakes into their places, small bounds where large ones would never be met, and undoing all of it."""

import asyncio
import functools
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaConnectionError

import agents.activator
import agents.clock
import agents.matching.app
import agents.matching.recovery
import agents.matching.snapshot_writer
import agents.matching.worker
import agents.projection.persister
import agents.relay
import agents.shard.unit
import agents.worker.database
import agents.worker.fail_stop
import agents.worker.host
import agents.worker.ownership
import agents.worker.service
import agents.worker.topic_watch
import tables.book_table
from broker import event_records, kept_readers, producer, reader
from broker.shards import consumer
from broker.topic_faults import TopicFault
from store.session.presence import Task
from tests.simulation.broker import Broker, FakeProducer
from tests.simulation.database import Database
from tests.simulation.groups import SESSION_TIMEOUT_S
from tests.simulation.log_reader import TailReader, shard_client
from tests.simulation.shard_app import SimulatedApp
from tests.simulation.virtual_loop import Process, ProcessEnded
from tests.simulation.world import World, current_process

Place = tuple[object, str]
EXPECTED_STOPS = {
    *("KafkaConnectionError", "KafkaTimeoutError", "LogTruncated", "TimeoutError", "ConnectionRefusedError"),
    *("ConnectionDoesNotExistError", "InterfaceError", "StoreUnavailable", "GapNeverFilled"),
    "EventGap",
}
"""What a process may stop for: the world around it. Everything else is a bug of ours."""


@contextmanager
def replaced(places: dict[Place, Any]) -> Iterator[None]:
    """Other values in these attributes for a while."""
    before = {place: getattr(*place) for place in places}
    for (owner, name), value in places.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name), value in before.items():
            setattr(owner, name, value)


def wired(world: World, broker: Broker, database: Database) -> Any:
    """The real workers on the fakes."""
    time = SimpleNamespace(monotonic=world.loop.time)
    places: dict[Place, Any] = {
        (producer, "AIOKafkaProducer"): lambda **_: FakeProducer(broker),
        (kept_readers, "AIOKafkaConsumer"): lambda **_: TailReader(broker),
        (consumer, "AIOKafkaConsumer"): functools.partial(shard_client, broker),
        (consumer, "monotonic"): world.loop.time,
        (agents.shard.unit, "faust_app"): SimulatedApp,
        (agents.shard.unit, "bind_to_running_loop"): lambda _: None,
        (agents.worker.fail_stop, "end_at_once"): functools.partial(_end, world),
        (agents.worker.host, "end_at_once"): functools.partial(_end, world),
        (agents.worker.host, "on_stop_signal"): lambda _: None,
        (agents.worker.ownership, "_tasks"): _TasksByProcess(),
        (agents.worker.topic_watch, "read_topic_faults"): functools.partial(_topic_faults, broker),
    }
    places |= {(module, "connect_writer"): database.connect for module in _ASKING}
    places |= {(module, "time"): time for module in _TIMED}
    places |= {(module, "machine_time"): world.now for module in (agents.relay, agents.clock, agents.activator)}
    return replaced(places | _small_bounds(world))


def _small_bounds(world: World) -> dict[Place, Any]:
    dice = world.dice
    step = dice.choice((1, 2, 64))
    return {
        (producer, "DOUBTED_AFTER_S"): 0.75 * SESSION_TIMEOUT_S,
        (agents.relay, "COMMANDS_PER_RECORD_MAX"): dice.choice((1, 3, 8, 500)),
        (agents.relay, "TIDY_EVERY_S"): 1.0,
        (agents.matching.app, "SNAPSHOT_CHECK_S"): 0.25,
        (agents.matching.app, "COPY_EVERY_S"): 1.5,
        (agents.shard.unit, "MARKETS_AT_ONCE"): dice.choice((1, 2, 8)),
        (agents.worker.topic_watch, "LOOK_EVERY_S"): 0.5,
        (event_records, "EVENT_RECORD_BYTES_MAX"): dice.choice((300, 2_000, 512 * 1024)),
        (event_records, "read_back"): functools.partial(reader.read_back, step=step),
        (agents.matching.snapshot_writer, "COMMANDS_MAX"): dice.choice((5, 20, 5_000)),
        (agents.matching.snapshot_writer, "AGE_MAX_S"): dice.choice((0.3, 1.0)),
        (agents.matching.snapshot_writer, "PAUSE_PER_SECOND_TAKEN"): 5,
        (tables.book_table, "CHUNK_BYTES"): dice.choice((700, 2_000)),
    }


class _TasksByProcess:
    """What each process works for (agents/worker/ownership.py): here all of them are in one."""

    def __init__(self) -> None:
        self._tasks: dict[Process, set[Task]] = {}

    def add(self, task: Task) -> None:
        """The current process takes a task on."""
        self._tasks.setdefault(current_process(), set()).add(task)

    def discard(self, task: Task) -> None:
        """The current process gives a task up."""
        self._tasks.get(current_process(), set()).discard(task)

    def __iter__(self) -> Iterator[Task]:
        """The tasks of the current process."""
        return iter(self._tasks.get(current_process(), ()))


async def _topic_faults(broker: Broker, _: str, wanted: Mapping[str, object], __: int) -> list[TopicFault]:
    """In the place of broker.topic_faults.read_topic_faults."""
    await asyncio.sleep(broker.world.latency())
    if not broker.is_up:
        raise KafkaConnectionError("the broker is down")
    return [TopicFault(name, "the topic", "there", "missing", is_fatal=True) for name in wanted if broker.is_away(name)]


def _end(world: World, code: int = 0) -> None:
    if world.is_over:
        raise ProcessEnded
    error = sys.exc_info()[1]
    process = current_process()
    name = type(error).__name__ if error is not None else "nothing"
    world.stops[name] += 1
    if name not in EXPECTED_STOPS:
        causes = itertools.islice(_causes(error), 3)
        world.violated(f"{process.name} stops itself: {' <- '.join(causes)}")
    world.kill(process, f"exit {code}, {name}")
    raise ProcessEnded


def _causes(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__


_ASKING = (agents.worker.database, agents.worker.service, agents.projection.persister)
_TIMED = (
    producer,
    agents.matching.app,
    agents.matching.worker,
    agents.matching.snapshot_writer,
)
