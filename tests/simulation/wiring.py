"""Putting the fakes into their places, small bounds where large ones would never be met, and undoing all of it."""

import functools
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import agents.clock
import agents.matching.recovery
import agents.matching.snapshot_writer
import agents.matching.worker
import agents.projection.persister
import agents.relay
import agents.worker.database
import agents.worker.fail_stop
import agents.worker.service
import tables.book_table
from broker import event_records, kept_readers, producer, reader
from tests.simulation.broker import Broker, FakeProducer, FakeReader, fake_end_offset
from tests.simulation.database import Database
from tests.simulation.members import SESSION_TIMEOUT_S
from tests.simulation.virtual_loop import ProcessEnded
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
    time = SimpleNamespace(monotonic=world.loop.time, time_ns=lambda: world.now() * 1_000)
    places: dict[Place, Any] = {
        (producer, "AIOKafkaProducer"): lambda **_: FakeProducer(broker),
        (kept_readers, "AIOKafkaConsumer"): lambda **_: FakeReader(broker),
        (reader, "end_offset"): fake_end_offset,
        (agents.worker.fail_stop, "end_at_once"): functools.partial(_end, world),
        (agents.matching.recovery, "tune_gc"): lambda: None,
    }
    places |= {(module, "connect_writer"): database.connect for module in _ASKING}
    places |= {(module, "time"): time for module in _TIMED}
    return replaced(places | _small_bounds(world))


def _small_bounds(world: World) -> dict[Place, Any]:
    dice = world.dice
    step = dice.choice((1, 2, 64))
    return {
        (producer, "DOUBTED_AFTER_S"): 0.75 * SESSION_TIMEOUT_S,
        (agents.relay, "COMMANDS_PER_RECORD_MAX"): dice.choice((1, 3, 8, 500)),
        (agents.relay, "TIDY_EVERY_S"): 1.0,
        (event_records, "EVENT_RECORD_BYTES_MAX"): dice.choice((300, 2_000, 512 * 1024)),
        (event_records, "read_back"): functools.partial(reader.read_back, step=step),
        (agents.matching.snapshot_writer, "COMMANDS_MAX"): dice.choice((5, 20, 5_000)),
        (agents.matching.snapshot_writer, "AGE_MAX_S"): dice.choice((0.3, 1.0)),
        (agents.matching.snapshot_writer, "PAUSE_PER_SECOND_TAKEN"): 5,
        (tables.book_table, "CHUNK_BYTES"): dice.choice((700, 2_000)),
    }


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
_TIMED = (producer, agents.matching.worker, agents.matching.snapshot_writer, agents.relay, agents.clock)
