"""The outbox: gapless and in order for any order of commits; the relay's cursor; pruning up to snapshots."""

import asyncio
import random

import pytest
from msgspec.structs import replace

from schemas.commands import AdvanceClock, PassBarrier
from schemas.market import SEED_MARKETS
from schemas.units import Timestamp
from schemas.wire import decode_command
from store.command_log.commands import CHANNEL, Addressed, MarketUnknown, append_command, append_commands
from store.command_log.outbox import (
    _READ_WAITING,
    _SENT,
    _STATES,
    OutboxCommand,
    OutboxState,
    SentRecord,
    WaitingCommands,
    prune,
    read_commands,
    read_cursor,
    read_pruned,
    read_shares,
    read_states,
    read_waiting,
    record_sent,
    rewind,
    set_cursor,
)
from store.command_log.snapshots import StoredSnapshot, forget_old, newest_snapshot_at_or_before_progress, save_snapshot
from store.markets.halts import halt
from store.markets.registry import list_market, load_registry
from store.session.connect import Session, connect_writer
from store.submission import Submission
from tests.eventually import eventually
from tests.store.account_builder import NOW, USDC, place, session_to, submission_to, user_with

WRITERS = 32
TRANSACTIONS = 8


async def test_thirty_two_writers_leave_no_hole_and_a_reader_after_the_cursor_misses_nothing(database: str) -> None:
    """Transactions of random length, operator commands and submissions; `seq > cursor` sees all, in order, once."""
    async with session_to(database) as session, session_to(database) as reader_session:
        user = await user_with(session, 10**9 * USDC)
        seen: list[int] = []
        reader = asyncio.create_task(_follow(reader_session, seen))
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(_write(database, number, user))
        total = await session.fetchval("SELECT command_seq FROM counters WHERE market_id = 1")
        await eventually(lambda: len(seen) >= total)
        reader.cancel()
        assert seen == list(range(1, total + 1))
        for market_id in (1, 2):
            rows = await read_commands(session, market_id, 0, 100_000)
            last = await session.fetchval("SELECT command_seq FROM counters WHERE market_id = $1", market_id)
            assert [row.seq for row in rows] == list(range(1, last + 1))


async def _follow(session: Session, seen: list[int]) -> None:
    """A relay: reads what is after its cursor, in a loop."""
    while True:
        rows = await read_commands(session, 1, seen[-1] if seen else 0, 50)
        seen += [row.seq for row in rows]


async def _write(dsn: str, number: int, user: int) -> None:
    """One process: half of them operators with transactions of 1 to 5 commands, half of them submissions."""
    chance = random.Random(number)  # noqa: S311 - a seed, so that a run can be repeated
    async with session_to(dsn) as session, submission_to(dsn) as submission:
        for _ in range(TRANSACTIONS):
            count = chance.randint(1, 5)
            if number % 2:
                await _append(session, count, rolls_back=chance.random() < 0.25)
            else:
                await _submit(submission, user, count)


async def _append(session: Session, count: int, *, rolls_back: bool) -> None:
    transaction = session.transaction()
    await transaction.start()
    for market in sorted(["BTC-PERP", "ETH-PERP"] * count):
        await append_command(session, market, AdvanceClock(NOW))
    await (transaction.rollback() if rolls_back else transaction.commit())


async def _submit(submission: Submission, user: int, count: int) -> None:
    batch = [place(user, "0.001") for _ in range(count)] + [place(user, "0.01", "3000", market="ETH-PERP")]
    await submission.run(batch, NOW, {})


async def test_a_reader_that_follows_a_plain_sequence_misses_rows(database: str) -> None:
    """The check is checked: with the same writers, sequences that are drawn and commit out of order are found."""
    async with session_to(database) as session, session_to(database) as reader_session:
        await session.execute("CREATE SEQUENCE naive_seq")
        await session.execute("CREATE TABLE naive (seq bigint PRIMARY KEY DEFAULT nextval('naive_seq'))")
        seen: list[int] = []
        reader = asyncio.create_task(_follow_naively(reader_session, seen))
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(_write_naively(database, number))
        written = [row["seq"] for row in await session.fetch("SELECT seq FROM naive ORDER BY seq")]
        await eventually(lambda: seen[-1] == written[-1])
        reader.cancel()
        assert set(seen) < set(written)


async def _follow_naively(session: Session, seen: list[int]) -> None:
    while True:
        after = seen[-1] if seen else 0
        seen += [row["seq"] for row in await session.fetch("SELECT seq FROM naive WHERE seq > $1 ORDER BY 1", after)]


async def _write_naively(dsn: str, number: int) -> None:
    chance = random.Random(number)  # noqa: S311 - a seed, so that a run can be repeated
    async with session_to(dsn) as session:
        for _ in range(TRANSACTIONS):
            async with session.transaction():
                for _ in range(chance.randint(1, 5)):
                    await session.execute("INSERT INTO naive DEFAULT VALUES")


async def test_a_command_of_the_operator_takes_the_next_sequence_and_wakes_the_relay(database: str) -> None:
    """Counter, outbox and notification are one statement."""
    heard: list[object] = []
    async with session_to(database) as session, session_to(database) as listener:
        await listener.add_listener(CHANNEL, lambda *message: heard.append(message[-1]))
        assert await append_command(session, "BTC-PERP", PassBarrier(NOW, "b1")) == 2
        assert await append_command(session, "ETH-PERP", PassBarrier(NOW, "b1")) == 2
        [row] = await read_commands(session, 1, 1, 10)
        assert (row.seq, decode_command(row.payload)) == (2, PassBarrier(NOW, "b1"))
        await eventually(lambda: heard == ["BTC-PERP", "ETH-PERP"])


async def test_a_submission_wakes_the_relay_of_each_market_once_a_batch(database: str) -> None:
    """However many commands a batch has."""
    heard: list[object] = []
    async with submission_to(database) as submission, session_to(database) as session:
        await session.add_listener(CHANNEL, lambda *message: heard.append(message[-1]))
        user = await user_with(session, 10_000 * USDC)
        await submission.run(
            [place(user, "0.1"), place(user, "0.1"), place(user, "1", "3000", market="ETH-PERP")], NOW, {}
        )
        await eventually(lambda: sorted(map(str, heard)) == ["BTC-PERP", "ETH-PERP"])


async def test_a_command_for_an_unknown_market_is_refused(database: str) -> None:
    """And writes nothing."""
    async with session_to(database) as session:
        with pytest.raises(MarketUnknown):
            await append_command(session, "DOGE-PERP", AdvanceClock(NOW))
        assert await session.fetchval("SELECT count(*) FROM outbox") == 2


async def test_reading_is_bounded_and_continues_after_what_was_read(database: str) -> None:
    """The relay takes up to 500 at a time."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 6)
        assert [row.seq for row in await read_commands(session, 1, 0, 4)] == [1, 2, 3, 4]
        assert [row.seq for row in await read_commands(session, 1, 4, 4)] == [5, 6, 7]


async def test_the_cursor_advances_only_from_where_the_relay_left_it(database: str) -> None:
    """A rewind that came between is not overwritten."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 6)
        assert await record_sent(session, [SentRecord(1, 0, 7, NOW)])
        assert await rewind(session, "BTC-PERP", 4)
        assert await read_cursor(session, 1) == 3
        assert not await record_sent(session, [SentRecord(1, 7, 9, NOW)])
        assert await read_cursor(session, 1) == 3


async def test_the_commands_of_many_markets_are_read_and_recorded_together(database: str) -> None:
    """From the cursor of each, none of a market without any; the cursor that was set back meanwhile stays, the other moves."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 3)
        await set_cursor(session, 1, 1)
        found = await read_waiting(session, [1, 2], 2)
        assert {number: (each.cursor, [row.seq for row in each.commands]) for number, each in found.items()} == {
            1: (1, [2, 3]),
            2: (0, [1]),
        }
        assert await rewind(session, "BTC-PERP", 1)
        assert await record_sent(session, [SentRecord(2, 0, 1, NOW), SentRecord(1, 1, 3, NOW)]) == {2}
        assert [await read_cursor(session, number) for number in (1, 2)] == [0, 1]
        [(number, waiting)] = (await read_waiting(session, [2, 1], 1)).items()
        assert (number, waiting) == (1, WaitingCommands(0, [OutboxCommand(1, waiting.commands[0].payload)]))
        assert await record_sent(session, []) == set()


async def test_a_busy_market_gets_the_shares_that_quiet_ones_leave(database: str) -> None:
    """All get the same share where all have much; nothing of a market is read twice over its own limit."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 30)
        first, second = [
            await session.fetchval("SELECT command_seq FROM counters WHERE market_id = $1", n) for n in (1, 2)
        ]
        assert (first, second) == (31, 1)

        async def shares(limit: int, each: int) -> tuple[dict[int, int], set[int]]:
            found, has_more = await read_shares(session, [1, 2], limit, each)
            for waiting in found.values():
                assert [row.seq for row in waiting.commands] == list(range(1, len(waiting.commands) + 1))
            return {number: len(waiting.commands) for number, waiting in found.items()}, has_more

        assert await shares(12, 500) == ({1: 11, 2: 1}, {1})
        assert await shares(100, 500) == ({1: 31, 2: 1}, set())
        assert await shares(100, 20) == ({1: 20, 2: 1}, {1})
        assert await shares(1, 500) == ({1: 1, 2: 1}, {1, 2})
        await append_commands(session, [Addressed("ETH-PERP", AdvanceClock(NOW)) for _ in range(30)])
        assert await shares(12, 500) == ({1: 6, 2: 6}, {1, 2})


async def test_the_relay_asks_for_many_markets_by_index_even_on_an_empty_database(database: str) -> None:
    """Each statement is made of look-ups: it costs what waits, whatever else the tables hold."""
    statements = {
        _READ_WAITING: (("outbox_pkey", "relay_cursors_pkey"), "'{1,2}', 500"),
        _STATES: (("relay_cursors_pkey", "progress_pkey", "engine_snapshots_pkey"), "'{1,2}'"),
        _SENT: (("relay_cursors_pkey", "orders_pkey"), "'{1,2}', '{0,0}', '{1,1}', '{now,now}', '{0,0}'"),
    }
    session = await connect_writer(database, "relay")
    for number, (statement, (indexes, arguments)) in enumerate(statements.items()):
        await session.execute(f"PREPARE asked{number} AS {statement}")
        rows = await session.fetch(f"EXPLAIN EXECUTE asked{number}({arguments})")
        plan = "\n".join(row[0] for row in rows)
        assert all(index in plan for index in indexes), plan
        assert "Seq Scan" not in plan, plan
    await session.close()


async def test_the_state_of_a_market_says_what_can_be_pruned(database: str) -> None:
    """What is sent and covered by a snapshot at or before progress; nothing where there is none."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 8)
        await _snapshot(session, 4)
        await _snapshot(session, 8)
        await set_cursor(session, 1, 7)
        await session.execute("UPDATE progress SET (command_seq, event_seq) = (6, 60) WHERE market_id = 1")
        states = await read_states(session, [1, 2])
        assert states == {1: OutboxState(7, 6, 0, 4), 2: OutboxState(0, 0, 0, 0)}
        assert [state.prunable for state in states.values()] == [4, 0]
        assert await prune(session, 1) == 4
        assert (await read_states(session, [1]))[1].prunable == 0


async def test_a_rewind_never_moves_the_cursor_forward(database: str) -> None:
    """What has not been sent comes anyway."""
    async with session_to(database) as session:
        await set_cursor(session, 1, 2)
        assert await rewind(session, "BTC-PERP", 100)
        assert await read_cursor(session, 1) == 2


async def test_pruning_stops_at_the_newest_snapshot_that_progress_has_passed(database: str) -> None:
    """Commands 1 to 9, snapshots at 4 and 8, progress at 6: 1 to 4 go, and the snapshot at 4 stays."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 8)
        await _snapshot(session, 4)
        await _snapshot(session, 8)
        await set_cursor(session, 1, 9)
        assert await prune(session, 1) == 0
        await session.execute("UPDATE progress SET (command_seq, event_seq) = (6, 60) WHERE market_id = 1")
        assert await prune(session, 1) == 4
        await forget_old(session, 1)
        assert [row.seq for row in await read_commands(session, 1, 0, 100)] == [5, 6, 7, 8, 9]
        newest = await newest_snapshot_at_or_before_progress(session, 1)
        assert (newest.command_seq if newest else None) == 4
        assert not await rewind(session, "BTC-PERP", 4)
        assert await rewind(session, "BTC-PERP", 5)


async def test_pruning_continues_where_it_stopped_and_leaves_other_markets_alone(database: str) -> None:
    """In bounded steps from the low end."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 8)
        await _snapshot(session, 9)
        await session.execute("UPDATE progress SET (command_seq, event_seq) = (9, 90)")
        await set_cursor(session, 1, 9)
        assert [await prune(session, 1, limit=4) for _ in range(4)] == [4, 4, 1, 0]
        assert await prune(session, 2) == 0
        assert len(await read_commands(session, 2, 0, 10)) == 1


async def test_what_the_relay_has_yet_to_send_is_not_pruned(database: str) -> None:
    """A snapshot covers it, but the cursor was set back: the relay would find a hole where it continues."""
    async with session_to(database) as session:
        await _append_clock_ticks(session, 8)
        await _snapshot(session, 9)
        await session.execute("UPDATE progress SET (command_seq, event_seq) = (9, 90)")
        await set_cursor(session, 1, 3)
        assert await prune(session, 1) == 3
        assert [row.seq for row in await read_commands(session, 1, 3, 100)] == [4, 5, 6, 7, 8, 9]
        assert await read_pruned(session, 1) == 3


async def test_old_snapshots_go_and_those_ahead_of_progress_stay(database: str) -> None:
    """A rebuild always finds one; a second save of the same sequence changes nothing."""
    async with session_to(database) as session:
        for seq in (2, 4, 6, 8, 6):
            await _snapshot(session, seq)
        await forget_old(session, 1)
        assert await newest_snapshot_at_or_before_progress(session, 1) is None
        await session.execute("UPDATE progress SET (command_seq, event_seq) = (6, 60) WHERE market_id = 1")
        await forget_old(session, 1)
        kept = await session.fetch("SELECT command_seq FROM engine_snapshots ORDER BY command_seq")
        assert [row["command_seq"] for row in kept] == [6, 8]
        assert await newest_snapshot_at_or_before_progress(session, 1) == StoredSnapshot(6, 60, "e6", "s6", b"state 6")


async def _append_clock_ticks(session: Session, count: int) -> None:
    for number in range(count):
        await append_command(session, "BTC-PERP", AdvanceClock(Timestamp(NOW + number)))


async def _snapshot(session: Session, seq: int) -> None:
    await save_snapshot(session, 1, StoredSnapshot(seq, 10 * seq, f"e{seq}", f"s{seq}", b"state %d" % seq), NOW)


async def test_commands_for_many_markets_are_numbered_in_one_statement(database: str) -> None:
    """In the order given, each market separately; each relay is notified once."""
    heard: list[object] = []
    async with session_to(database) as session, session_to(database) as listener:
        await listener.add_listener(CHANNEL, lambda *message: heard.append(message[-1]))
        ticks = [
            Addressed(name, AdvanceClock(Timestamp(NOW + n))) for n, name in enumerate(("ETH-PERP", "BTC-PERP") * 2)
        ]
        assert await append_commands(session, ticks) == [2, 2, 3, 3]
        rows = await read_commands(session, 1, 1, 10)
        assert [decode_command(row.payload) for row in rows] == [ticks[1].command, ticks[3].command]
        await eventually(lambda: sorted(map(str, heard)) == ["BTC-PERP", "ETH-PERP"])
        assert await append_commands(session, []) == []


async def test_what_may_not_go_yet_is_left_out_and_leaves_no_hole(database: str) -> None:
    """An unknown market, one that the exchange has halted, and one that is not persisted so far."""
    async with session_to(database) as session:
        await session.execute("UPDATE progress SET command_seq = 1")
        tick = AdvanceClock(NOW)
        asked = [Addressed("DOGE-PERP", tick), Addressed("BTC-PERP", tick, 2), Addressed("BTC-PERP", tick, 1)]
        assert await append_commands(session, [*asked, Addressed("ETH-PERP", tick)]) == [None, None, 2, 2]
        await halt(session, "ETH-PERP", "for a test")
        assert await append_commands(session, [Addressed("ETH-PERP", tick)]) == [None]


async def test_a_command_that_is_asked_for_once_waits_in_a_halted_market(database: str) -> None:
    """An operator's command is appended although the exchange has halted the market; a clock tick is not."""
    async with session_to(database) as session:
        await halt(session, "ETH-PERP", "for a test")
        assert await append_command(session, "ETH-PERP", PassBarrier(NOW, "b1")) == 2
        assert await append_commands(session, [Addressed("ETH-PERP", AdvanceClock(NOW))]) == [None]
        assert [row.seq for row in await read_commands(session, 2, 1, 10)] == [2]


async def test_many_markets_at_once_never_lock_each_other_out(database: str) -> None:
    """Counters are locked in market order, in whatever order they are requested; the sequences have no hole."""
    async with session_to(database) as session:
        for number in range(6):
            await list_market(session, replace(SEED_MARKETS[0], market=f"T{number}-PERP"), NOW)
        names = list((await load_registry(session)).by_name)
        await asyncio.gather(*(_append_everywhere(database, names, seed) for seed in range(4)))
        for market_id in range(1, len(names) + 1):
            seqs = [row.seq for row in await read_commands(session, market_id, 0, 500)]
            assert seqs == list(range(1, 102))


async def _append_everywhere(dsn: str, names: list[str], seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed, so that a run can be repeated
    async with session_to(dsn) as session:
        for _ in range(25):
            asked = chance.sample(names, len(names))
            await append_commands(session, [Addressed(name, AdvanceClock(NOW)) for name in asked])
