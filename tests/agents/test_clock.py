"""The clock on a real database: which markets receive the time, how often, and what stays out of the outbox."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from agents.clock import Clock
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock
from schemas.market import MarketStatus
from schemas.orders import TimeInForce
from schemas.units import MINUTE_US, SECOND_US, Timestamp, datetime_of
from schemas.wire import decode_command
from store.markets.due_orders import read_ticking
from store.markets.halts import halt
from store.session.advisory_locks import LockClass, try_lock
from store.session.checked_clock import machine_time
from store.session.connect import Session
from tests.agents.stream import hosted
from tests.eventually import eventually
from tests.store.account_builder import NOW, USDC, place, session_to, submission_to, user_with
from tests.store.roles import as_role, make_roles


@pytest_asyncio.fixture(name="session")
async def session_of_test(database: str) -> AsyncIterator[Session]:
    """A session on a fresh database whose two markets are persisted up to their listing."""
    async with session_to(database) as session:
        await _persist_all(session)
        yield session


def clock_on(dsn: str) -> Clock:
    """A clock for that database; it never asks the broker."""
    return Clock(StreamSettings(dsn, "", datadir=Path()))


async def test_a_market_in_use_gets_one_tick_a_second(session: Session, database: str) -> None:
    """On the second, and in one statement: both markets get the first at the same microsecond. An idle one gets no second one."""
    await _use(session, "BTC-PERP")
    async with hosted(clock_on(database)):
        ticks = await eventually(lambda: _three_in_turn(session, "BTC-PERP"))
        await _persist_all(session)
        idle = await _ticks(session, "ETH-PERP")
    assert len({at // SECOND_US for at in ticks}) == len(ticks)
    assert idle[0] == ticks[0]
    assert len({at // MINUTE_US for at in idle}) == len(idle)


async def test_the_first_order_and_the_last_start_and_end_the_seconds(session: Session, database: str) -> None:
    """An idle market is ticked in the second after its first order, until the order has ended; a position counts like an order."""
    async with submission_to(database) as submission, hosted(clock_on(database)):
        await eventually(lambda: _persisting(session, "ETH-PERP", 1))
        user = await user_with(session, 10_000 * USDC)
        await _persist_all(session)
        sent = len(await _ticks(session, "BTC-PERP"))
        await submission.run([place(user)], NOW, {})
        await eventually(lambda: _persisting(session, "BTC-PERP", sent + 2))
        await session.execute("UPDATE orders SET is_live = false")
        await _goes_quiet(session, "BTC-PERP")
        sent = len(await _ticks(session, "BTC-PERP"))
        await session.execute("UPDATE positions SET lots = -1, opened_seq = 1 WHERE market_id = 1")
        await eventually(lambda: _persisting(session, "BTC-PERP", sent + 2))


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ("rules = 3", False),
        ("rules = 2", True),
        ("mark = mark + 1", True),
        ("mark = mark + 1, is_frozen = true", False),
        ("index_price = index_price + 49000000", False),  # less than half a tick
        ("index_price = index_price + 51000000", True),
        ("price_sources = '[]'", False),
        ("price_sources = '{fresh}'", False),
        ("price_sources = '{stale}'", True),
        ("price_sources = '{unknown}'", True),
        ("price_sources = '{unknown}', is_frozen = true", False),
    ],
)
async def test_what_moves_each_second(session: Session, change: str, moves: bool) -> None:
    """Older rules, a mark that is not at its index, and a source that is silent or unknown; the last two not while it is frozen."""
    await session.execute(
        "INSERT INTO price_reports VALUES (1, 'a', $1), (1, 'b', $2)", datetime_of(NOW), datetime_of(NOW - 10_000_000)
    )
    named = {
        kind: json.dumps([{"name": "a", "weight": 1, "maxAgeMs": 5_000}, {"name": name, "weight": 1, "maxAgeMs": age}])
        for kind, name, age in (("fresh", "b", 10_000), ("stale", "b", 9_999), ("unknown", "c", 10_000))
    }
    await session.execute(f"UPDATE markets SET {change.format(**named)} WHERE market_id = 1")
    market, _ = await read_ticking(session, NOW, NOW)
    assert market.moves_each_second == moves


async def test_an_order_that_expires_within_the_second_is_found_by_its_command(session: Session, database: str) -> None:
    """An idle exchange is looked at once a second, and in the fifth after a command is announced; not always on a slow machine."""
    async with submission_to(database) as submission, hosted(clock_on(database)):
        await eventually(lambda: _persisting(session, "BTC-PERP", 1))
        user = await user_with(session, 10_000 * USDC)

        async def is_found_at_once() -> bool:
            await _persist_all(session)
            await asyncio.sleep(1.25 - time.time() % 1)  # this second has been looked at
            now = machine_time()
            expires_at = Timestamp(now + 200_000)
            order = place(user, time_in_force=TimeInForce.GTD, expires_at=datetime_of(expires_at))
            await submission.run([order], now, {})
            first, *_ = await eventually(partial(_persisting_since, session, "BTC-PERP", expires_at))
            await session.execute("UPDATE orders SET is_live = false")
            return first // SECOND_US == expires_at // SECOND_US

        await eventually(is_found_at_once)


async def test_a_clock_needs_no_more_than_its_role(session: Session, database: str) -> None:
    """It reads what moves a market, listens, and appends."""
    await make_roles(database)
    await _use(session, "BTC-PERP")
    async with hosted(clock_on(as_role(database, "clock"))):
        await eventually(lambda: _persisting(session, "BTC-PERP", 2))


async def test_nothing_queues_while_nobody_persists(session: Session, database: str) -> None:
    """One tick is under way; the next waits for it, however many seconds pass."""
    async with hosted(clock_on(database)):
        await eventually(lambda: _has_ticks(session, "BTC-PERP", 1))
        [first] = await _ticks(session, "BTC-PERP")
        await _use(session, "BTC-PERP")
        await _use(session, "ETH-PERP")
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


async def test_a_countdown_that_ends_gets_its_resting_market_a_tick_at_once(session: Session, database: str) -> None:
    """No order and no position: the market has a tick a minute. Halted by its operator it is ticked all the same, a settled one not."""
    await session.execute("UPDATE markets SET status = CASE market_id WHEN 1 THEN 'HALTED' ELSE 'SETTLED' END")
    async with hosted(clock_on(database)):
        await eventually(lambda: _persisting(session, "BTC-PERP", 1))
        await _goes_quiet(session, "BTC-PERP")
        sent = len(await _ticks(session, "BTC-PERP"))
        await session.execute("INSERT INTO countdowns SELECT market_id, 1, '2001-01-01Z', 'ALL' FROM markets")
        await eventually(lambda: _persisting(session, "BTC-PERP", sent + 4), within_s=1.8)
        assert await _ticks(session, "ETH-PERP") == []


async def test_a_countdown_is_due_when_it_has_ended(session: Session) -> None:
    """The earliest of the market, and of an order that expires before it the order's; none where it ends later than was asked for."""
    ends = [datetime_of(Timestamp(NOW + after)) for after in (3_000_000, 2_000_000)]
    await session.executemany("INSERT INTO countdowns VALUES (1, $1, $2, 'ALL')", [(1, ends[0]), (2, ends[1])])
    assert await read_ticking(session, NOW, Timestamp(NOW + 1_999_999), only_due=True) == []
    (market,) = await read_ticking(session, NOW, Timestamp(NOW + 2_000_000), only_due=True)
    assert (market.name, market.due_at) == ("BTC-PERP", NOW + 2_000_000)
    assert not market.moves_each_second


async def test_a_market_that_the_exchange_has_halted_is_left_alone(session: Session, database: str) -> None:
    """Nobody works for it; one that an operator has halted continues, and a settled one has nothing to wait for."""
    await halt(session, "BTC-PERP", "for a test")
    await session.execute("UPDATE markets SET status = 'HALTED' WHERE name = 'ETH-PERP'")
    await _use(session, "ETH-PERP")
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
    await _use(session, "BTC-PERP")
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


async def _use(session: Session, market: str) -> None:
    """Somebody holds a position there."""
    user = await user_with(session, 10_000 * USDC)
    await session.execute(
        "INSERT INTO positions (user_id, market_id, lots, leverage, opened_seq) SELECT $1, market_id, 1, 1, 1 FROM markets WHERE name = $2",
        user,
        market,
    )


async def _goes_quiet(session: Session, market: str) -> None:
    """Wait until a second has passed without a tick."""
    while True:
        await _persist_all(session)
        sent = len(await _ticks(session, market))
        await _a_second_passes(session)
        if len(await _ticks(session, market)) == sent:
            return


async def _persisting_since(session: Session, market: str, at: Timestamp) -> list[Timestamp]:
    """The ticks from this time on, with everything persisted so far."""
    await _persist_all(session)
    return [tick for tick in await _ticks(session, market) if tick >= at]


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


async def _three_in_turn(session: Session, market: str) -> list[Timestamp] | None:
    """The ticks of a market when the last three began successive seconds: a machine under load may be late, or skip one."""
    ticks = await _persisting(session, market, 4)
    first, *_, last = ticks[-3:] if ticks else (0, 0)
    is_prompt = ticks is not None and all(at % SECOND_US < 200_000 for at in ticks[-3:])
    return ticks if is_prompt and last // SECOND_US - first // SECOND_US == 2 else None


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
