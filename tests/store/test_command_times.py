"""The time of a command is compared with PostgreSQL's clock where it is numbered, for every writer (ADR 0009)."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import pytest_asyncio

from exchange.engine.log.journal import answer_command
from exchange.engine.market import Market, empty_market
from schemas.commands import AdvanceClock, Command, PassBarrier, ReportPrice, ReportPrices, SetStatus, SourcePrice
from schemas.market import MarketStatus
from schemas.units import Nanos, Timestamp, datetime_of, timestamp_of
from schemas.wire import decode_command, encode
from store.command_log.commands import append_command
from store.session.checked_clock import CheckedClock, machine_time
from store.session.connect import Session
from tests.store.account_builder import USDC, place, session_to, submission_to, user_with
from tests.store.stepped_clock import step_clock

HOUR = timedelta(hours=1)
MARKET = "BTC-PERP"
FORCED = Path(__file__).parents[1] / "recorded" / "data" / "forced.jsonl"


@pytest_asyncio.fixture(name="session")
async def session_of_test(database: str) -> AsyncIterator[Session]:
    """A session on a database with a clock, whose market had a command a moment ago; the projection is far behind."""
    async with session_to(database) as session:
        await step_clock(session)
        await session.execute("UPDATE progress SET at = clock_timestamp() - interval '10 min'")
        await session.execute("UPDATE outbox SET created_at = clock_timestamp() - interval '0.3 s'")
        yield session


async def _numbered(session: Session, seq: int) -> tuple[datetime, Command]:
    """The time and the command in the outbox."""
    row = await session.fetchrow(
        "SELECT o.created_at, o.payload FROM outbox o JOIN markets USING (market_id) WHERE name = $1 AND command_seq = $2",
        MARKET,
        seq,
    )
    assert row is not None
    return row["created_at"], decode_command(row["payload"])


async def _last(session: Session) -> datetime:
    """The time of the market's last command."""
    return (await _numbered(session, await session.fetchval("SELECT max(command_seq) FROM outbox")))[0]


@pytest.mark.parametrize("off_s", [0.0, -1.5, 1.5])
async def test_a_time_within_two_seconds_is_the_writers(session: Session, off_s: float) -> None:
    """To the microsecond: machines whose clocks are kept differ by less."""
    at = Timestamp(machine_time() + int(off_s * 1e6))
    seq = await append_command(session, MARKET, AdvanceClock(at))
    assert await _numbered(session, seq) == (datetime_of(at), AdvanceClock(at))


@pytest.mark.parametrize("off", [HOUR, timedelta(minutes=10), timedelta(seconds=3), timedelta(days=20_000)])
async def test_a_writer_that_is_ahead_gets_the_databases_time(session: Session, off: timedelta) -> None:
    """The market does not live through time that has not passed."""
    before = await session.fetchval("SELECT clock_timestamp()")
    seq = await append_command(session, MARKET, AdvanceClock(timestamp_of(datetime_of(machine_time()) + off)))
    created_at, command = await _numbered(session, seq)
    assert before <= created_at <= await session.fetchval("SELECT clock_timestamp()")
    assert command == AdvanceClock(timestamp_of(created_at))


async def test_a_writer_that_is_behind_gets_the_markets_time(session: Session) -> None:
    """Its events are not stamped with a time long past; nor is the market set forward by a late command."""
    seq = await append_command(session, MARKET, AdvanceClock(Timestamp(machine_time() - 3_600_000_000)))
    created_at, command = await _numbered(session, seq)
    assert created_at == await _last(session)
    assert command == AdvanceClock(timestamp_of(created_at))


async def test_a_database_that_is_ahead_changes_nothing(session: Session) -> None:
    """A clock that is wrong alone moves no market ahead, PostgreSQL's no more than another."""
    await step_clock(session, HOUR)
    at = machine_time()
    assert await _numbered(session, await append_command(session, MARKET, AdvanceClock(at))) == (
        datetime_of(at),
        AdvanceClock(at),
    )


async def test_a_database_that_is_behind_holds_the_market_where_it_is(session: Session) -> None:
    """Until it is corrected; then the market goes on at once."""
    last = await _last(session)
    await step_clock(session, -HOUR)
    seq = await append_command(session, MARKET, AdvanceClock(machine_time()))
    assert (await _numbered(session, seq))[0] == last
    await step_clock(session)
    at = machine_time()
    seq = await append_command(session, MARKET, AdvanceClock(at))
    assert (await _numbered(session, seq))[0] == datetime_of(at)


def test_the_time_is_the_first_field_of_every_command() -> None:
    """After a type of letters: that is where SQL finds it."""
    for kind in get_args(Command):
        assert msgspec.structs.fields(kind)[0].encode_name == "at"
        assert re.fullmatch("[a-z_.]+", kind.__struct_config__.tag)


async def test_only_the_time_of_a_command_changes(session: Session) -> None:
    """It keeps all else that it says, also where another field, or a text in it, looks like the time."""
    at = Timestamp(1_900_000_000_000_007)
    commands: list[Command] = [
        PassBarrier(Timestamp(1), '{"type":"x","at":5'),
        ReportPrice(Timestamp(-3), "\u20bf", Nanos(1), observed_at=Timestamp(4)),
        ReportPrices(Timestamp(2), (SourcePrice('{"type":"y","at":6', Nanos(1), observed_at=Timestamp(4)),)),
        *(decode_command(line.partition("\t")[2].encode()) for line in FORCED.read_text().splitlines()[:20]),
    ]
    for command in commands:
        changed = await session.fetchval("SELECT with_time($1, $2)", encode(command), datetime_of(at))
        assert changed == encode(msgspec.structs.replace(command, at=at))


async def test_an_order_shows_the_time_it_was_numbered_under(session: Session, database: str) -> None:
    """Of an API process whose clock is an hour ahead, or behind: neither the order nor its cancel is lost or misdated."""
    user = await user_with(session, 10_000 * USDC)
    async with submission_to(database) as submission:
        for off in (HOUR, -HOUR):
            now = timestamp_of(datetime_of(machine_time()) + off)
            [stored] = await submission.run([place(user, "0.001")], now, {})
            row = await session.fetchrow(
                "SELECT o.created_at, x.created_at AS numbered_at, x.payload FROM orders o JOIN outbox x"
                " ON o.order_id = order_key(x.market_id, x.command_seq) ORDER BY x.command_seq DESC LIMIT 1"
            )
            assert row is not None
            assert (
                timestamp_of(row["created_at"]) == timestamp_of(row["numbered_at"]) == decode_command(row["payload"]).at
            )
            assert abs(row["created_at"] - datetime_of(machine_time())) < timedelta(minutes=1), stored


async def test_a_market_is_where_it_was_after_every_clock_has_been_wrong(session: Session) -> None:
    """Each of two writers and the database itself, an hour either way: the engine's time is the real one afterwards."""
    listed = timestamp_of(await _last(session))
    market = empty_market(MARKET)
    _, listing = await _numbered(session, 1)
    answer_command(market, 1, msgspec.structs.replace(listing, at=listed))
    clock = 0
    for database_off in (timedelta(0), HOUR, -HOUR):
        await step_clock(session, database_off)
        for writer_off in (timedelta(0), HOUR, -HOUR):
            if database_off and writer_off:
                continue  # one at a time
            now = machine_time()
            at = timestamp_of(datetime_of(now) + writer_off)
            for command in (AdvanceClock(at), SetStatus(at, MarketStatus.ACTIVE)):
                seq = await append_command(session, MARKET, command)
                answer_command(market, seq, (await _numbered(session, seq))[1])
            assert listed <= market.clock <= machine_time()
            clock = max(clock, market.clock)
    await step_clock(session)
    await append_and_apply(session, market, now := machine_time())
    assert market.clock == now >= clock


async def append_and_apply(session: Session, market: Market, at: Timestamp) -> None:
    """A tick, as the engine reads it."""
    seq = await append_command(session, MARKET, AdvanceClock(at))
    answer_command(market, seq, (await _numbered(session, seq))[1])


@pytest.mark.parametrize("off", [HOUR, -HOUR, timedelta(seconds=2.5), timedelta(seconds=-2.5)])
async def test_a_process_measures_its_clock(session: Session, off: timedelta) -> None:
    """It says how far it is off, and gives the time that both clocks agree on, or the later one where that is asked for."""
    off_us = int(off.total_seconds() * 1e6)
    clock = CheckedClock(lambda: Timestamp(machine_time() + off_us))
    offset = await clock.check(session)
    assert abs(offset.ahead_us - off_us) <= offset.doubt_us + 1_000
    assert offset.is_wrong
    assert str(offset).endswith("ahead of PostgreSQL's" if off_us > 0 else "behind PostgreSQL's")
    earlier, later = clock.now(), clock.latest()
    assert abs(later - earlier - abs(off_us)) < 1_000_000
    assert earlier <= machine_time() + min(0, off_us) + offset.doubt_us


async def test_a_clock_that_agrees_is_left_alone(session: Session) -> None:
    """And one that was wrong, once it is corrected."""
    off_us = [3_600_000_000]
    clock = CheckedClock(lambda: Timestamp(machine_time() + off_us[0]))
    assert (await clock.check(session)).is_wrong
    off_us[0] = 0
    assert not (await clock.check(session)).is_wrong
    before = machine_time()
    assert before <= clock.now() <= clock.latest() <= machine_time()
