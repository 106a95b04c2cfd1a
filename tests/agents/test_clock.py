"""The clock on a real database: which markets receive the time, how often, and what stays out of the outbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from agents.clock import Clock
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock
from schemas.market import MarketStatus
from schemas.orders import TimeInForce
from schemas.units import Timestamp, datetime_of
from schemas.wire import decode_command
from store.markets.halts import halt
from store.session.advisory_locks import LockClass, try_lock
from store.session.connect import Session
from tests.agents.stream import hosted
from tests.eventually import eventually
from tests.store.account_builder import NOW, USDC, place, session_to, submission_to, user_with

SECOND_US = 1_000_000


@pytest_asyncio.fixture(name="session")
async def session_of_test(database: str) -> AsyncIterator[Session]:
    """A session on a fresh database whose two markets are persisted up to their listing."""
    async with session_to(database) as session:
        await _persist_all(session)
        yield session


def clock_on(dsn: str) -> Clock:
    """A clock for that database; it never asks the broker."""
    return Clock(StreamSettings(dsn, "", datadir=Path()))


async def test_every_market_gets_one_tick_a_second(session: Session, database: str) -> None:
    """On the second, and in one statement: both markets get the first at the same microsecond."""
    async with hosted(clock_on(database)):
        ticks = await eventually(lambda: _persisting(session, "BTC-PERP", 3))
    seconds = [at // SECOND_US for at in ticks]
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    assert all(at % SECOND_US < 200_000 for at in ticks[1:])
    assert await _ticks(session, "ETH-PERP") == ticks[:1]


async def test_nothing_queues_while_nobody_persists(session: Session, database: str) -> None:
    """One tick is under way; the next waits for it, however many seconds pass."""
    async with hosted(clock_on(database)):
        await eventually(lambda: _has_ticks(session, "BTC-PERP", 1))
        [first] = await _ticks(session, "BTC-PERP")
        ticks = await eventually(lambda: _persisting(session, "ETH-PERP", 3))
        assert await _ticks(session, "BTC-PERP") == [first]
        await _persist_all(session)
        await eventually(lambda: _has_ticks(session, "BTC-PERP", 2))
    assert ticks[0] == first


async def test_a_due_order_gets_a_tick_at_once(session: Session, database: str) -> None:
    """Within 200 ms, not at the next second; and again as soon as a tick is persisted that has not ended it."""
    async with submission_to(database) as submission, hosted(clock_on(database)):
        await eventually(lambda: _persisting(session, "BTC-PERP", 1))
        user = await user_with(session, 10_000 * USDC)
        soon = datetime_of(Timestamp(NOW + 1_000_000))  # of another year for the clock: it is due now
        await submission.run([place(user, time_in_force=TimeInForce.GTD, expires_at=soon)], Timestamp(NOW - 1), {})
        await session.execute("UPDATE orders SET expires_at = '2001-01-01T00:00:00Z'")
        sent = len(await _ticks(session, "BTC-PERP"))
        await eventually(lambda: _persisting(session, "BTC-PERP", sent + 4), within_s=1.8)


async def test_a_market_that_the_exchange_has_halted_is_left_alone(session: Session, database: str) -> None:
    """Nobody works for it; one that an operator has halted continues, and a settled one has nothing to wait for."""
    await halt(session, "BTC-PERP", "for a test")
    await session.execute("UPDATE markets SET status = 'HALTED' WHERE name = 'ETH-PERP'")
    async with hosted(clock_on(database)):
        await eventually(lambda: _persisting(session, "ETH-PERP", 2))
        await session.execute("UPDATE markets SET status = $1 WHERE name = 'ETH-PERP'", MarketStatus.SETTLED)
        await _persist_all(session)
        count = len(await _ticks(session, "ETH-PERP"))
        await _a_second_passes(session)
        assert len(await _ticks(session, "ETH-PERP")) == count
    assert await _ticks(session, "BTC-PERP") == []


async def test_of_two_clocks_one_waits(session: Session, database: str) -> None:
    """By advisory lock; it takes over when the first one ends."""
    first, second = clock_on(database), clock_on(database)
    async with hosted(second):
        async with hosted(first):
            await eventually(lambda: _persisting(session, "BTC-PERP", 3))
            ticks = await _ticks(session, "BTC-PERP")
            assert len(ticks) == len({at // SECOND_US for at in ticks})
        sent = len(ticks)
        await _persist_all(session)
        await eventually(lambda: _persisting(session, "BTC-PERP", sent + 1))


async def test_a_clock_that_lost_its_session_comes_back(session: Session, database: str) -> None:
    """Its record of earlier ticks is cleared: the database may have been restored from a backup."""
    async with hosted(clock_on(database)):
        await eventually(lambda: _has_ticks(session, "BTC-PERP", 1))
        await session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'clock' AND datname = current_database()"
        )
        await eventually(lambda: _has_ticks(session, "BTC-PERP", 2))
        assert not await try_lock(session, LockClass.CLOCK)


async def _a_second_passes(session: Session) -> None:
    began = await session.fetchval("SELECT clock_timestamp()")
    statement = "SELECT clock_timestamp() > $1::timestamptz + interval '1.3 s'"
    await eventually(lambda: session.fetchval(statement, began))


async def _persisting(session: Session, market: str, count: int) -> list[Timestamp] | None:
    """The ticks of a market when there are at least that many; what it has so far is persisted at once."""
    statement = (
        "UPDATE progress p SET command_seq = c.command_seq FROM counters c JOIN markets m USING (market_id)"
        " WHERE p.market_id = c.market_id AND m.name = $1"
    )
    await session.execute(statement, market)
    ticks = await _ticks(session, market)
    return ticks if len(ticks) >= count else None


async def _persist_all(session: Session) -> None:
    await session.execute(
        "UPDATE progress p SET command_seq = c.command_seq FROM counters c WHERE p.market_id = c.market_id"
    )


async def _has_ticks(session: Session, market: str, count: int) -> bool:
    return len(await _ticks(session, market)) >= count


async def _ticks(session: Session, market: str) -> list[Timestamp]:
    rows = await session.fetch(
        "SELECT payload FROM outbox JOIN markets USING (market_id) WHERE name = $1 ORDER BY command_seq", market
    )
    commands = [decode_command(row["payload"]) for row in rows]
    return [command.at for command in commands if isinstance(command, AdvanceClock)]
