"""Units in the event loop of a test: nothing of them remains, whether they started or not."""

import asyncio
import threading
from pathlib import Path

import pytest
from mode.threads import WorkerThread

from agents.fills.app import publisher_unit
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.worker.fail_stop import fail_fast
from agents.worker.ownership import tasks_now
from agents.worker.service import Service
from broker.errors import LogMismatch
from broker.shards.consumer import ShardConsumerThread
from store.session.connect import Connection
from store.session.presence import Task, Work
from tests.agents.stream import hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


async def consumer_threads() -> list[threading.Thread]:
    """The threads of Faust's consumers, any of which keeps a process from ending."""
    return [thread for thread in threading.enumerate() if isinstance(thread, WorkerThread)]


async def no_consumer_threads() -> bool:
    """Whether every such thread has ended."""
    return not await consumer_threads()


async def test_a_unit_that_is_given_up_before_it_is_up_leaves_no_thread(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """A publisher without its right on its group never starts: the run that had given it up did not end."""
    async with stream_on(broker, database, tmp_path) as stream:
        unit = publisher_unit(stream.market, stream.settings)

        async def host() -> None:
            async with hosted(unit):
                await asyncio.Event().wait()

        hosting = asyncio.create_task(host())
        await eventually(consumer_threads)
        hosting.cancel()
        await asyncio.wait([hosting])
        await unit.stop()  # or a failure here would be the very hang
        assert hosting.cancelled()
        await eventually(no_consumer_threads)  # one whose group was just assigning needs STOP_TIMEOUT_S


async def test_a_unit_that_is_given_up_before_its_thread_has_begun_leaves_none(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has not run it yet when the app stops: Faust takes it for one that was never started, and it worked on."""
    begin, stop, may_begin = ShardConsumerThread._start_thread, ShardConsumerThread.stop, threading.Event()

    def begin_late(consumer: ShardConsumerThread) -> None:
        may_begin.wait()
        begin(consumer)

    async def let_it_begin_and_stop(consumer: ShardConsumerThread) -> None:
        asyncio.get_running_loop().call_soon(may_begin.set)
        await stop(consumer)

    monkeypatch.setattr(ShardConsumerThread, "_start_thread", begin_late)
    monkeypatch.setattr(ShardConsumerThread, "stop", let_it_begin_and_stop)
    async with stream_on(broker, database, tmp_path) as stream:
        unit = publisher_unit(stream.market, stream.settings)
        starting = asyncio.create_task(unit.start())
        [thread] = await eventually(consumer_threads)
        starting.cancel()
        await asyncio.wait([starting])
        await unit.stop()
        if thread.is_alive():
            thread.service._stopped_set()  # or a failure here would be the very hang
            pytest.fail("the thread works on")


async def test_a_unit_that_is_stopped_owns_nothing_any_more(broker: Broker, database: str, tmp_path: Path) -> None:
    """It rests, or is handed over, while its process goes on: `status --workers` shows it no longer."""
    async with stream_on(broker, database, tmp_path) as stream:
        tasks = {Task(work, stream.market) for work in (Work.ENGINE, Work.PROJECTION, Work.PUBLISHER)}
        parts = (engine_unit, projection_unit, publisher_unit)
        async with hosted(*(part(stream.market, stream.settings) for part in parts)):
            await eventually(lambda: tasks <= tasks_now())
        assert not tasks & tasks_now()


class Failing(Service):
    """A service that meets a bug of ours."""

    async def serve(self, session: Connection) -> None:
        """Once connected, fail."""
        await session.execute("SELECT 1 / 0")


async def test_a_failure_names_the_unit_that_had_ended_with_an_error(database: str) -> None:
    """What the test waits for never comes then, and the log of a task that nobody awaits says nothing."""
    unit = Failing("failing", database)

    async def host() -> None:
        async with hosted(unit):
            await asyncio.wait({asyncio.ensure_future(unit.wait())})
            raise AssertionError("not true in time")

    with pytest.raises(AssertionError, match="not true in time") as raised:
        await host()
    [note] = raised.value.__notes__
    assert note.startswith("failing had ended: ")
    assert "division by zero" in note


async def test_a_hosted_worker_that_stops_its_process_fails_the_test() -> None:
    """It says who stops and why, and the run goes on; here nobody waits for the worker."""

    class Wrong:
        name = "engine-BTC-PERP"

        async def start(self) -> None:
            self.work = asyncio.create_task(fail_fast(self._fail(), self.name))

        async def wait(self) -> None:
            await asyncio.Event().wait()

        async def stop(self) -> None:
            await asyncio.gather(self.work, return_exceptions=True)

        async def _fail(self) -> None:
            raise LogMismatch("epoch", 1, 2)

    with pytest.raises(AssertionError, match="engine-BTC-PERP stops the process, exit code 70: LogMismatch"):
        async with hosted(Wrong()):
            await asyncio.Event().wait()
