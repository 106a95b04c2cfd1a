"""Two engines for one market: the one that was assigned nothing takes over."""

import subprocess
from pathlib import Path

from agents.projection.app import projection_unit
from agents.relay import Relay
from store.session.presence import Task, Work, read_processes
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


async def owner_among(stream: Stream, workers: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """The one process that is shown as the owner of the market; None while none is, or two are."""
    task = Task(Work.ENGINE, stream.market)
    owners = [each.name.pid for each in await read_processes(stream.session) if task in each.tasks]
    return next((worker for worker in workers if [worker.pid] == owners), None)


async def test_an_idle_standby_takes_over(broker: Broker, database: str, tmp_path: Path) -> None:
    """A member that was assigned nothing when it joined becomes the owner, is shown as such, and matches."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            workers = [stream.spawn("engine"), stream.spawn("engine")]
            await stream.trade(40)
            await stream.drained()
            await eventually(lambda: all(f"engine-{stream.market} is up" in stream.log_of(each) for each in workers))
            owner = await eventually(lambda: owner_among(stream, workers))
            assert owner is not None
            owner.terminate()
            await stream.trade(40)
            assert (await stream.drained()).command_seq == 81
        one_hash_each(await stream.records())


async def test_a_standby_takes_over_however_long_it_has_waited(broker: Broker, database: str, tmp_path: Path) -> None:
    """A member that is assigned nothing fetches nothing: it is healthy and must not leave its group for that."""
    async with (
        stream_on(broker, database, tmp_path) as stream,
        hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)),
    ):
        owner = stream.spawn("engine")
        await stream.trade(40)
        await stream.drained()
        standby = stream.spawn("engine", "wait")
        await eventually(lambda: f"engine-{stream.market} is up" in stream.log_of(standby))
        owner.terminate()
        await stream.trade(40)
        assert (await stream.drained()).command_seq == 81
