"""Two engines for one market: the one that was dealt nothing takes over, on either kind of broker."""

import subprocess
from functools import partial
from pathlib import Path

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.protocol.group import JoinGroupRequest, LeaveGroupRequest

from agents.projection import projection_unit
from agents.relay import Relay
from schemas.topics import engine_app_id
from store.presence import Task, Work, read_processes
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


async def owner_among(stream: Stream, workers: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """The one process that is shown as the owner of the market; None while none is, or two are."""
    task = Task(Work.ENGINE, stream.market)
    owners = [each.name.pid for each in await read_processes(stream.session) if task in each.tasks]
    return next((worker for worker in workers if [worker.pid] == owners), None)


async def test_a_group_whose_leader_left_while_it_formed_gets_another_one(
    embedded_broker: Broker, database: str, tmp_path: Path
) -> None:
    """The embedded broker goes on naming it, so nobody deals the market; whoever is refused too often sees to a new one."""
    async with stream_on(embedded_broker, database, tmp_path) as stream:
        await join_and_leave(embedded_broker.bootstrap, engine_app_id(stream.market))
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            engine = stream.spawn("engine")
            await stream.trade(40)
            assert (await stream.drained()).command_seq == 41
            assert "a leader that does not deal" in stream.log_of(engine)


async def join_and_leave(bootstrap: str, group: str) -> None:
    """Become the leader of an empty group, and leave before anything is dealt."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
    await client.ready(node)
    join = partial(JoinGroupRequest, group, 2_000, 5_000)
    way = ("consumer", [("faust", b"")])
    named = await client.send(node, join("", None, *way))
    joined = await client.send(node, join(named.member_id, None, *way))
    assert joined.leader_id == joined.member_id
    await client.send(node, LeaveGroupRequest(group, joined.member_id))
    await client.close()


async def test_an_idle_standby_takes_over_on_the_embedded_broker(
    embedded_broker: Broker, database: str, tmp_path: Path
) -> None:
    """Dealt nothing when it joined, it was deaf to the deal that made it the owner: shown as such, and matching nothing."""
    async with stream_on(embedded_broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            workers = [stream.spawn("engine"), stream.spawn("engine")]
            await stream.trade(40)
            await stream.drained()
            await eventually(lambda: all("is up" in stream.log_of(each) for each in workers), within_s=30)
            owner = await eventually(lambda: owner_among(stream, workers), within_s=30)
            assert owner is not None
            owner.terminate()
            await stream.trade(40)
            assert (await stream.drained()).command_seq == 81
        one_hash_each(await stream.records())


async def test_a_standby_takes_over_however_long_it_has_waited(broker: Broker, database: str, tmp_path: Path) -> None:
    """Whoever is dealt nothing fetches nothing: a member as good as any, which is not to leave its group for that."""
    async with (
        stream_on(broker, database, tmp_path) as stream,
        hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)),
    ):
        owner = stream.spawn("engine")
        await stream.trade(40)
        await stream.drained()
        standby = stream.spawn("engine", "wait")
        await eventually(lambda: "is up" in stream.log_of(standby), within_s=30)
        owner.terminate()
        await stream.trade(40)
        assert (await stream.drained()).command_seq == 81
