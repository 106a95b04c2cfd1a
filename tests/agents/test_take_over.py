"""Take-over at once: the members of a dead process leave their groups long before their session time-out."""

import asyncio
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.verify import verify
from agents.worker.membership.take_over import LOOK_EVERY_S, TakeOver
from schemas.topics import shard_app_id
from store.session.group_members import GroupMember, claim_member
from store.session.presence import read_processes
from tests.agents.stream import Stream, hosted, one_hash_each, stream_on
from tests.agents.test_publisher import everything_is_published
from tests.conftest import Broker
from tests.eventually import eventually
from tests.group_members import in_group, remove, remove_one
from tests.store.account_builder import session_to

SESSION_TIMEOUT_S = 12.0
UP_WITHIN_S = 120.0
SIX_LOOKS_S = 6 * LOOK_EVERY_S
REMOVED = "its process is gone"
BY_MISTAKE = "by mistake, and joins again"
_SHOWN = "SELECT array_agg(member_id) FROM group_members WHERE group_id = $1"
_CUT = """SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'engine %:' || $1"""
EVERY = "%"
CHAOS = pytest.mark.chaos


@asynccontextmanager
async def patient_stream(broker: Broker, database: str, folder: Path) -> AsyncIterator[Stream]:
    """A market whose group would wait long for a member that is gone."""
    async with stream_on(broker, database, folder) as stream:
        stream.settings = replace(stream.settings, session_timeout_s=SESSION_TIMEOUT_S)
        yield stream


@asynccontextmanager
async def owner_and_standby(stream: Stream, kind: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], ...]]:
    """Two workers of a kind: the owner of the market, and its standby."""
    up = f"{kind}-{stream.market} is up"
    owner = stream.spawn(kind)
    await eventually(lambda: up in stream.log_of(owner), UP_WITHIN_S)
    standby = stream.spawn(kind)
    await eventually(lambda: up in stream.log_of(standby), UP_WITHIN_S)
    await eventually(lambda: are_shown(stream, group_of(stream, kind), 2), UP_WITHIN_S)
    yield owner, standby


def group_of(stream: Stream, kind: str) -> str:
    """The group of the market's shard."""
    return shard_app_id(kind, stream.market.lower())


async def shown(stream: Stream, group: str) -> set[str]:
    """The ids of the members shown in PostgreSQL."""
    return set(await stream.session.fetchval(_SHOWN, group) or ())


async def are_shown(stream: Stream, group: str, count: int) -> bool:
    """Whether this many members are shown, and are in the group."""
    known = await shown(stream, group)
    return len(known) == count and known == await in_group(stream.settings.bootstrap, group)


@pytest.mark.parametrize(
    "kind", ["engine", pytest.param("projection", marks=CHAOS), pytest.param("publisher", marks=CHAOS)]
)
async def test_a_standby_takes_over_at_once_from_a_killed_owner(
    broker: Broker, database: str, tmp_path: Path, kind: str
) -> None:
    """kill -9: every order is answered, no event is written with two contents, and the dead member is removed and forgotten."""
    others = {"engine": (Relay, projection_unit), "projection": (Relay,), "publisher": (Relay, projection_unit)}
    async with patient_stream(broker, database, tmp_path) as stream:
        if kind != "engine":
            stream.spawn("engine")
        async with hosted(*(make(stream.market, stream.settings) for make in others[kind])):
            async with owner_and_standby(stream, kind) as (owner, standby):
                await stream.trade(40)
                owner.kill()
                await stream.trade(40)
                await eventually(lambda: REMOVED in stream.log_of(standby), UP_WITHIN_S)
                await eventually(lambda: are_shown(stream, group_of(stream, kind), 1), UP_WITHIN_S)
                await stream.drained()
                if kind == "publisher":
                    await everything_is_published(stream)
            assert await stream.unfinished() == 0
        one_hash_each(await stream.records())
        assert (await verify(stream.settings, stream.market)).differences == []


async def test_a_worker_started_again_takes_over_at_once_from_itself(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """No standby: the group still waits for the dead member, and the new process removes it."""
    async with patient_stream(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            first = stream.spawn("engine")
            await stream.trade(40)
            await stream.drained()
            await eventually(lambda: are_shown(stream, group_of(stream, "engine"), 1), UP_WITHIN_S)
            first.kill()
            await stream.trade(40)
            second = stream.spawn("engine")
            await stream.drained()
            assert REMOVED in stream.log_of(second)
            await eventually(lambda: are_shown(stream, group_of(stream, "engine"), 1), UP_WITHIN_S)
        one_hash_each(await stream.records())


async def test_a_worker_that_stops_in_order_leaves_nobody_to_remove(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """SIGTERM: its members have left their groups, and are no longer shown when its session ends."""
    async with patient_stream(broker, database, tmp_path) as stream, owner_and_standby(stream, "engine") as both:
        owner, standby = both
        owner.terminate()
        assert await asyncio.to_thread(owner.wait) == 0
        await eventually(lambda: are_shown(stream, group_of(stream, "engine"), 1), UP_WITHIN_S)
        assert REMOVED not in stream.log_of(standby)


async def test_an_owner_that_lives_is_not_removed(broker: Broker, database: str, tmp_path: Path) -> None:
    """It is frozen: it keeps its market until its session with Kafka times out. Not even when PostgreSQL cuts every session.

    A standby that has seen nobody alive in its new session does not know who is gone.
    """
    async with patient_stream(broker, database, tmp_path) as stream, owner_and_standby(stream, "engine") as both:
        owner, standby = both
        before = await shown(stream, group_of(stream, "engine"))
        owner.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(SIX_LOOKS_S)
            assert await stream.session.fetchval(_CUT, EVERY) == 2
            await eventually(lambda: _is_present(stream, standby), UP_WITHIN_S)
            await asyncio.sleep(SIX_LOOKS_S)
            assert await shown(stream, group_of(stream, "engine")) == before
        finally:
            owner.send_signal(signal.SIGCONT)
        await eventually(lambda: _is_present(stream, owner), UP_WITHIN_S)
        assert REMOVED not in stream.log_of(standby)
        await eventually(lambda: are_shown(stream, group_of(stream, "engine"), 2), UP_WITHIN_S)


async def test_an_owner_removed_by_mistake_joins_again(broker: Broker, database: str, tmp_path: Path) -> None:
    """It is frozen, and PostgreSQL has cut its session alone: to the standby it looks dead. Both have matched; nothing is lost."""
    async with patient_stream(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            async with owner_and_standby(stream, "engine") as (owner, standby):
                await stream.trade(40)
                owner.send_signal(signal.SIGSTOP)
                try:
                    assert await stream.session.fetchval(_CUT, str(owner.pid)) == 1
                    await eventually(lambda: REMOVED in stream.log_of(standby), UP_WITHIN_S)
                    await stream.trade(40)
                    await stream.drained()
                finally:
                    owner.send_signal(signal.SIGCONT)
                await eventually(lambda: are_shown(stream, group_of(stream, "engine"), 2), UP_WITHIN_S)
                assert await _is_present(stream, owner)
                await stream.trade(40)
                await stream.drained()
            assert await stream.unfinished() == 0
        one_hash_each(await stream.records())


async def test_a_process_that_was_removed_while_it_had_no_session_need_not_wait_for_its_heartbeat(
    broker: Broker, database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its new session does not find what it had shown, and it joins again by itself; then it shows its new id."""
    async with patient_stream(broker, database, tmp_path) as stream:
        take_over, unit = TakeOver(), engine_unit(stream.market, stream.settings)
        async with hosted(unit):
            async with session_to(database) as first:
                await take_over.begin(first)
                await take_over.step(first)
                [member] = await shown(stream, unit.name)
            assert await eventually(lambda: claim_member(stream.session, GroupMember(unit.name, member)))
            assert await remove(stream.settings.bootstrap, unit.name, member)
            async with session_to(database) as second:
                await take_over.begin(second)
                await take_over.step(second)
                assert BY_MISTAKE in caplog.text

                async def is_shown_again() -> bool:
                    await take_over.step(second)
                    return member not in await shown(stream, unit.name) and await are_shown(stream, unit.name, 1)

                await eventually(is_shown_again, UP_WITHIN_S)


@pytest.mark.parametrize("evictions", [pytest.param(4, id="short"), pytest.param(100, marks=CHAOS, id="full")])
async def test_live_members_removed_by_mistake_lose_and_double_nothing(
    broker: Broker, database: str, tmp_path: Path, evictions: int
) -> None:
    """Under load, at random moments, owner or standby: they join again, and every order is answered once."""
    chance = random.Random(evictions)  # noqa: S311 - the same moments on every run
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings), projection_unit(stream.market, stream.settings)):
            async with owner_and_standby(stream, "engine"):
                removed = 0
                for _ in range(evictions):
                    await stream.trade(40)
                    await asyncio.sleep(chance.random() / 2)
                    removed += await remove_one(stream.settings.bootstrap, group_of(stream, "engine"), chance)
                    await stream.trade(40)
                await stream.drained()
                assert removed
                await eventually(lambda: are_shown(stream, group_of(stream, "engine"), 2), UP_WITHIN_S)
            assert await stream.unfinished() == 0
        one_hash_each(await stream.records())
        assert (await verify(stream.settings, stream.market)).differences == []


async def test_a_member_that_is_not_in_the_group_is_not_removed(broker: Broker) -> None:
    """It has left, or its session has timed out: there is nothing left to do."""
    assert not await remove(broker.bootstrap, "engine-nobody", "engine-nobody-0")


async def _is_present(stream: Stream, worker: subprocess.Popen[bytes]) -> bool:
    return worker.pid in {each.name.pid for each in await read_processes(stream.session)}
