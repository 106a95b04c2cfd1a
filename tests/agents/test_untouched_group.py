"""A group that has committed nothing yet: wherever its consumer was, it goes back to the start of the log."""

from pathlib import Path
from typing import Any

from agents.worker.faust_app import faust_app, raw_topic
from agents.worker.host import FaustUnit
from agents.worker.stall_watchdog import StallWatchdog
from broker.producer import AckedProducer
from schemas.topics import events_topic, projection_app_id
from store.session.presence import Task, Work
from tests.agents.stream import Stream, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually

RECORDS = 5


async def append(stream: Stream, count: int) -> None:
    """Write a number of records into the event log."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    for number in range(count):
        await producer.send(events_topic(stream.market), b"%d" % number, key=b"")
    await producer.stop()


def reading_unit(stream: Stream, seen: list[bytes]) -> tuple[FaustUnit, Any]:
    """An app that reads the event log and acknowledges nothing, and the same app on its own."""
    app = faust_app(projection_app_id(stream.market), stream.settings)

    @app.agent(raw_topic(app, events_topic(stream.market)), name="read")
    async def read(records: Any) -> None:
        async for event in records.noack().events():
            seen.append(event.message.value)  # noqa: PERF401 - it never ends

    async def has_work() -> bool:
        return False

    watch = StallWatchdog(
        Task(Work.PROJECTION, stream.market), stream.settings.standstill_s, lambda: len(seen), has_work
    )
    return FaustUnit(app, watch), app


async def test_what_was_dropped_before_the_first_commit_is_read_again(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Faust drops what it has fetched while its flow is stopped, and seeks: an owner died early, its successor started too late."""
    async with stream_on(broker, database, tmp_path) as stream:
        await append(stream, RECORDS)
        seen: list[bytes] = []
        unit, app = reading_unit(stream, seen)
        async with hosted(unit):
            await eventually(lambda: len(seen) == RECORDS)
            await app.consumer.perform_seek()
            await eventually(lambda: len(seen) == 2 * RECORDS)
        assert seen == [b"%d" % number for number in range(RECORDS)] * 2
