"""One relay for many markets: each keeps its order and its pause, and one that cannot go on waits alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.relay import Relay
from agents.worker import ownership
from broker.producer import AckedProducer
from broker.topics import create_topics
from schemas.commands import PassBarrier
from schemas.topics import commands_topic
from store.command_log.commands import Addressed, append_commands
from store.command_log.outbox import read_cursor, rewind
from store.markets.halts import halt
from store.markets.rests import read_rests
from store.session.advisory_locks import LockClass, try_lock
from store.session.presence import Work
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.agents.test_relay import WRITERS, command_log, relayed, sequences, write_slowly
from tests.conftest import Broker
from tests.eventually import eventually
from tests.topic_faults import delete_topic, lift_limit, limit_records

_RELAYS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'relay' AND datname = current_database()"


@asynccontextmanager
async def streams(count: int, broker: Broker, database: str, folder: Path) -> AsyncIterator[list[Stream]]:
    """Some markets on one broker and database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(stream_on(broker, database, folder, users=2)) for _ in range(count)]


def relay_of(*markets: Stream) -> Relay:
    """One relay for all of them."""
    return Relay([stream.market for stream in markets], markets[0].settings)


def relaying() -> set[str]:
    """The markets that a relay of this process owns."""
    return {task.market for task in ownership.tasks_now() if task.work is Work.RELAY}


async def market_id(stream: Stream) -> int:
    """The market's number."""
    return (await stream.progress()).market_id


async def test_no_command_of_32_writers_of_three_markets_is_skipped(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Each log has every command of its market once and in order, while records of all are under way together."""
    async with streams(3, broker, database, tmp_path) as markets:
        async with hosted(relay_of(*markets)):
            await asyncio.gather(*(write_slowly(markets[seed % 3], seed, 2) for seed in range(WRITERS)))
            lasts = [await stream.barrier() for stream in markets]
            for stream, last in zip(markets, lasts, strict=True):
                await relayed(stream, last)
        for stream, last in zip(markets, lasts, strict=True):
            assert sequences(await command_log(stream)) == list(range(1, last + 1))


async def test_a_busy_market_does_not_wait_for_others_while_more_of_it_waits(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long round is for commands to gather in: one whose record could not take all that waits sends the next at once."""
    monkeypatch.setattr("agents.relay.READ_AT_ONCE", 8)
    async with streams(3, broker, database, tmp_path) as markets:
        async with hosted(relay_of(*markets)):
            for stream in markets:
                await relayed(stream, await stream.barrier())
            for pause in ("PAUSE_A_RECORD_S", "ROUND_MAX_S"):
                monkeypatch.setattr(f"agents.relayed_market.{pause}", 3_600.0)
            busy = markets[0]
            waiting = [busy, *markets, *[busy] * 40]
            commands = [Addressed(stream.market, PassBarrier(BEGAN_AT, "here")) for stream in waiting]
            await append_commands(busy.session, commands)
            await relayed(busy, 44)
        assert sequences(await command_log(busy)) == list(range(1, 45))


class Fault(NamedTuple):
    """What happens to a market, how it is mended (None: only by another session), and the reason that operators see."""

    happens: Callable[[Stream], Awaitable[object]]
    is_mended: Callable[[Stream], Awaitable[object]] | None
    reason: str = ""


def on_commands(happens: Callable[[str, str], Awaitable[object]]) -> Callable[[Stream], Awaitable[object]]:
    """The same, of the market's command log."""
    return lambda stream: happens(stream.settings.bootstrap, commands_topic(stream.market))


async def _make_topic(stream: Stream) -> None:
    await create_topics(stream.settings.bootstrap, [stream.market])


async def _raise_epoch(stream: Stream) -> None:
    await stream.session.execute("UPDATE markets SET epoch = epoch + 1 WHERE name = $1", stream.market)


async def _lower_epoch(stream: Stream) -> None:
    await stream.session.execute("UPDATE markets SET epoch = epoch - 1 WHERE name = $1", stream.market)


async def _make_hole(stream: Stream) -> None:
    number = await market_id(stream)
    await stream.session.execute("DROP TABLE IF EXISTS taken_away")
    await stream.session.execute(
        f"CREATE TABLE taken_away AS SELECT * FROM outbox WHERE market_id = {number} AND command_seq = 2"
    )
    await stream.session.execute("DELETE FROM outbox WHERE market_id = $1 AND command_seq = 2", number)


async def _fill_hole(stream: Stream) -> None:
    await stream.session.execute("INSERT INTO outbox SELECT * FROM taken_away")
    await stream.session.execute("DROP TABLE taken_away")


async def _alter_command(stream: Stream) -> None:
    await stream.session.execute(
        "UPDATE outbox SET payload = payload || ' ' WHERE market_id = $1 AND command_seq = 1", await market_id(stream)
    )


async def _halt(stream: Stream) -> None:
    await halt(stream.session, stream.market, "for a test")


FAULTS = {
    "topic refuses": Fault(on_commands(partial(limit_records, size="100")), on_commands(lift_limit)),
    "topic missing": Fault(on_commands(delete_topic), _make_topic),
    "another epoch": Fault(_raise_epoch, _lower_epoch, "epoch of the command log"),
    "hole": Fault(_make_hole, _fill_hole, "2 is no longer in the outbox"),
    "altered command": Fault(_alter_command, None),
    "halted": Fault(_halt, None),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_market_that_cannot_go_on_waits_alone(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The others are relayed by the same session; mended, it goes on by itself and in order."""
    monkeypatch.setattr("agents.relayed_market.LOOK_AGAIN_MAX_S", 0.2)
    fault = FAULTS[name]
    async with streams(2, broker, database, tmp_path) as (ill, well):
        async with hosted(relay_of(ill, well)):
            await relayed(ill, 1)
        await ill.barrier()
        last = await ill.barrier()
        await fault.happens(ill)
        async with hosted(relay_of(well, ill)):
            for _ in range(3):
                await relayed(well, await well.barrier())
            if fault.reason:
                await eventually(lambda: _rests(ill, fault.reason))
            if name in {"altered command", "halted"}:
                await eventually(lambda: _is_halted(ill))
            assert await read_cursor(ill.session, await market_id(ill)) == 1
            assert well.market in relaying()
            if fault.is_mended is not None:
                await fault.is_mended(ill)
                await relayed(ill, last)
                await eventually(lambda: _rests(ill, ""))
        assert sequences(await command_log(well)) == [1, 2, 3, 4]
        await ill.session.execute(
            "UPDATE markets SET halted_reason = NULL, status = 'ACTIVE' WHERE name = $1", ill.market
        )
    assert not relaying()


async def _rests(stream: Stream, reason: str) -> bool:
    rests = (await read_rests(stream.session)).get(stream.market, "")
    return reason in rests if reason else not rests


async def _is_halted(stream: Stream) -> bool:
    return (await stream.progress()).halted_reason is not None


async def test_relays_share_the_markets_and_one_takes_over_what_a_killed_one_leaves(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Each market has one owner by its lock; the other relay stands by for it, and works for the rest meanwhile."""
    async with streams(2, broker, database, tmp_path) as (first, second):
        process = first.spawn("relay")
        await eventually(lambda: "relaying the commands" in first.log_of(process), within_s=60)
        await relayed(first, 1)
        async with hosted(relay_of(first, second)):
            await relayed(second, await second.barrier())
            assert relaying() == {second.market}
            process.kill()
            await relayed(first, await first.barrier())
            assert relaying() == {first.market, second.market}
        assert sequences(await command_log(second)) == [1, 2]
        assert sorted(set(sequences(await command_log(first)))) == [1, 2]


async def test_markets_are_given_up_and_taken_on_without_a_restart(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """What it gives up has no lock any more, so that another relay goes on with it."""
    async with streams(3, broker, database, tmp_path) as (kept, given, added):
        relay, other = relay_of(kept, given), relay_of(given)
        async with hosted(relay, other):
            await relayed(given, 1)
            relay.set_markets([kept.market, added.market])
            for stream in (kept, given, added):
                await relayed(stream, await stream.barrier())
            other.set_markets([])
            assert await eventually(lambda: _try_lock(given))
            await eventually(lambda: relaying() == {kept.market, added.market})
        for stream in (kept, given, added):
            assert sequences(await command_log(stream)) == [1, 2]


async def _try_lock(stream: Stream) -> bool:
    return await try_lock(stream.session, LockClass.RELAY, await market_id(stream))


async def test_a_rewind_while_records_of_several_markets_are_under_way_is_not_overwritten(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both records are acknowledged together; the cursor that was set back stays, the other one moves."""
    sent, held = AckedProducer.send, asyncio.Event()
    under_way: list[str] = []

    async def send(producer: AckedProducer, topic: str, *record: Any, **named: Any) -> None:
        await sent(producer, topic, *record, **named)
        under_way.append(topic)
        await held.wait()

    async with streams(2, broker, database, tmp_path) as (first, second):
        async with hosted(relay_of(first, second)):
            await relayed(first, await first.barrier())
            await relayed(second, 1)
            monkeypatch.setattr(AckedProducer, "send", send)
            for stream in (first, second):
                await stream.barrier()
            await eventually(lambda: len(under_way) == 2)
            assert await rewind(first.session, first.market, 2)
            held.set()
            for stream in (first, second):
                await relayed(stream, await stream.barrier())
        assert sequences(await command_log(first)) == [1, 2, 3, 2, 3, 4]
        assert sequences(await command_log(second)) == [1, 2, 3]


async def test_a_relay_has_one_session_however_many_markets(broker: Broker, database: str, tmp_path: Path) -> None:
    """A standby for all of them has one too."""
    async with streams(6, broker, database, tmp_path) as markets, hosted(relay_of(*markets), relay_of(*markets)):
        for stream in markets:
            await relayed(stream, await stream.barrier())
        assert await markets[0].session.fetchval(_RELAYS) == 2
