"""The relay: nothing skipped, nothing out of order, with any writer and after any loss."""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agents.relay import Relay
from agents.relayed_market import PAUSE_MAX_S, ROUND_MAX_S, RelayedMarket, Round, fitting, pause_after
from broker.reader import read_back
from schemas.commands import PassBarrier
from schemas.topics import commands_topic
from schemas.wire import COMMANDS_PER_RECORD_MAX, EVENT_RECORD_BYTES_MAX, CommandRecord, decode_command_record
from store.command_log.commands import append_command
from store.command_log.outbox import OutboxCommand, read_cursor, rewind, set_cursor
from store.session.advisory_locks import LockClass, try_lock
from store.session.connect import connect_writer
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually
from tests.system.conftest import FULL

WRITERS = 32
_PERSISTED = "UPDATE progress SET command_seq = $2 WHERE market_id = $1"
_END_RELAYS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relay' AND datname = current_database()
"""
_NOTED = "SELECT command_seq, after_seq FROM relayed_records WHERE market_id = $1 ORDER BY command_seq"


class GivenUp(Exception):
    """A writer rolls its transaction back."""


async def command_log(stream: Stream) -> list[CommandRecord]:
    """Every record of the command log."""
    records = await read_back(stream.settings.bootstrap, commands_topic(stream.market), lambda _: False)
    return [decode_command_record(record.value) for record in records]


def sequences(records: list[CommandRecord]) -> list[int]:
    """The commands in the order of the log."""
    return [command.seq for record in records for command in record.commands]


async def relayed(stream: Stream, up_to: int) -> None:
    """Wait until the relay has sent a command."""
    market_id = (await stream.progress()).market_id

    async def is_sent() -> bool:
        return await read_cursor(stream.session, market_id) >= up_to

    await eventually(is_sent)


async def write_slowly(stream: Stream, seed: int, for_s: float) -> None:
    """Transactions of random length, each with some commands, one in eight given up; one writer of many."""
    chance = random.Random(seed)  # noqa: S311 - the same writers on every run
    session = await connect_writer(stream.settings.dsn, f"writer-{seed}")
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        with suppress(GivenUp, TimeoutError):  # of 32 that wait for one lock, one may wait too long
            async with session.transaction():
                for _ in range(chance.randint(1, 3)):
                    await append_command(session, stream.market, PassBarrier(BEGAN_AT, f"writer {seed}"))
                    await asyncio.sleep(chance.random() ** 4 / 20)
                if chance.random() < 1 / 8:
                    raise GivenUp
    await session.close()


@pytest.mark.parametrize("for_s", [pytest.param(2, id="short"), pytest.param(600, marks=FULL, id="full")])
async def test_no_command_of_32_writers_is_skipped(
    broker: Broker, database: str, tmp_path: Path, for_s: float, record_property: Callable[[str, object], None]
) -> None:
    """Sequences commit in order, so the log has every command once and in order while transactions overlap."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings)):
            await asyncio.gather(*(write_slowly(stream, seed, for_s) for seed in range(WRITERS)))
            last = await stream.barrier()
            await relayed(stream, last)
        assert sequences(await command_log(stream)) == list(range(1, last + 1))
        record_property("commands", last)
        sys.stdout.write(f"{last} commands of {WRITERS} writers\n")


async def test_a_cursor_ahead_of_the_log_goes_back_to_its_tail(broker: Broker, database: str, tmp_path: Path) -> None:
    """The log lost its tail while the relay was down: what is missing is sent again."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 1)
        await stream.trade(30)
        market_id = (await stream.progress()).market_id
        await stream.session.execute("UPDATE relay_cursors SET command_seq = 20 WHERE market_id = $1", market_id)
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 31)
        assert sequences(await command_log(stream)) == list(range(1, 32))


async def test_a_log_that_lost_what_the_outbox_has_forgotten_is_gone_on_from(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """A snapshot covers what is pruned: the relay sends what comes after it instead of stopping at the hole."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 1)
        await stream.trade(30)
        market_id = (await stream.progress()).market_id
        await stream.session.execute("DELETE FROM outbox WHERE market_id = $1 AND command_seq <= 20", market_id)
        await stream.session.execute(
            "UPDATE relay_cursors SET command_seq = 25, pruned_seq = 20 WHERE market_id = $1", market_id
        )
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 31)
        assert sequences(await command_log(stream)) == [1, *range(21, 32)]


async def test_what_another_relay_has_sent_is_noted_with_no_time_of_ours(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """It died before it noted them: they are sent again, in one record with later ones, and only those have a time."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings)):
            await stream.trade(20)
            await relayed(stream, 21)
        market_id = (await stream.progress()).market_id
        await set_cursor(stream.session, market_id, 10)
        await stream.session.execute("DELETE FROM relayed_records WHERE market_id = $1 AND command_seq > 10", market_id)
        before = await stream.session.fetch(_NOTED, market_id)
        await stream.trade(5)
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 26)
        assert sequences(await command_log(stream)) == [*range(1, 22), *range(11, 27)]
        assert await stream.session.fetch(_NOTED, market_id) == [*before, (26, 21)]


async def test_what_is_persisted_already_is_noted_with_no_time_of_a_rebuild(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The log is new, what is persisted comes into it again: a relay that keeps no times may have sent it first."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(20)
        market_id = (await stream.progress()).market_id
        before = (await stream.progress()).command_seq
        await stream.session.execute(_PERSISTED, market_id, 15)
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 21)
        noted = await stream.session.fetch(_NOTED, market_id)
        assert [min(row["after_seq"] for row in noted), max(row["command_seq"] for row in noted)] == [15, 21]
        await stream.session.execute(_PERSISTED, market_id, before)


async def test_a_rewind_is_not_overwritten(broker: Broker, database: str, tmp_path: Path) -> None:
    """The engine asks for a command while the relay works: it comes again, with all that follow."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings)):
            await stream.trade(20)
            await relayed(stream, 21)
            assert await rewind(stream.session, stream.market, 5)
            await relayed(stream, 21)
            await stream.trade(5)
            await relayed(stream, 26)
        log = sequences(await command_log(stream))
        assert log == [*range(1, 22), *range(5, 22), *range(22, 27)]


async def test_a_second_relay_waits_for_the_first(broker: Broker, database: str, tmp_path: Path) -> None:
    """One relay a market, by advisory lock; the standby takes over when the first is gone."""
    async with stream_on(broker, database, tmp_path) as stream:
        market_id = (await stream.progress()).market_id
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 1)
            assert not await try_lock(stream.session, LockClass.RELAY, market_id)
            standby = Relay(stream.market, stream.settings)
            await standby.start()
        await relayed(stream, await stream.barrier())
        await standby.stop()


async def test_the_relay_outlives_its_session(broker: Broker, database: str, tmp_path: Path) -> None:
    """PostgreSQL ends the relay's session: it connects again and continues, in order."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(Relay(stream.market, stream.settings)):
            await relayed(stream, 1)
            await stream.session.execute(_END_RELAYS)
            last = await stream.barrier()
            await relayed(stream, last)
        assert sequences(await command_log(stream)) == [1, 2]


def test_a_record_is_bounded_by_bytes_but_holds_at_least_one_command() -> None:
    """500 commands or 512 KiB, whichever comes first; a command larger than that goes alone."""
    half = b"x" * (EVENT_RECORD_BYTES_MAX // 2)
    assert len(fitting([OutboxCommand(1, half), OutboxCommand(2, half)])) == 1
    assert len(fitting([OutboxCommand(1, half * 3)])) == 1
    assert len(fitting([OutboxCommand(seq, b"{}") for seq in range(1, 6)])) == 5


def test_a_record_is_followed_by_a_pause_that_grows_with_what_it_held() -> None:
    """A single command waits only briefly, a stream of them shares records, and a flood is not delayed at all."""
    assert 0 < pause_after(1) < pause_after(4) < pause_after(100) == PAUSE_MAX_S
    assert pause_after(COMMANDS_PER_RECORD_MAX) == 0


def test_markets_that_send_at_the_same_time_send_their_next_records_together() -> None:
    """The more they are, the later; what is sent meanwhile joins them, and nothing waits longer than half a second."""
    few, many = ([RelayedMarket(f"M{number}-PERP") for number in range(count)] for count in (2, 1_000))
    turn = Round()
    turn.add(few[:1], 10.0)
    assert turn.due_s(few[0]) == 10.0  # alone it pauses for its own commands only
    turn.add(few, 20.0)
    assert len({turn.due_s(each) for each in few}) == 1
    assert 20.0 < turn.due_s(few[0]) < 20.0 + PAUSE_MAX_S
    turn.add(many[:50], 20.001)
    assert len({turn.due_s(each) for each in [*few, *many[:50]]}) == 1
    assert turn.due_s(few[0]) > 20.0 + 2 * PAUSE_MAX_S
    turn.add(many, 20.002)
    assert {turn.due_s(each) for each in many} == {20.0 + ROUND_MAX_S}


def test_a_market_outside_a_long_round_waits_a_part_of_it() -> None:
    """So that those outside come together too; one outside a short round waits for nobody, and its own pause counts always."""
    busy, calm = [RelayedMarket(f"M{number}-PERP") for number in range(100)], RelayedMarket("CALM-PERP")
    turn = Round()
    turn.add(busy[:10], 10.0)
    assert turn.due_s(calm) < 10.0
    turn.add(busy, 20.0)
    assert 20.0 < turn.due_s(calm) < turn.due_s(busy[0])
    calm.due_s = 30.0
    assert turn.due_s(calm) == 30.0
