"""What stops the projection, and what does not: nothing is half written, and nothing is written twice."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from schemas.orders import Side
from schemas.wire import EventRecord, chain_hash
from store.audit.audit import audit
from store.projection import ChainBroken, EventGap, Projection, ProjectionBroken
from store.session.connect import Connection, StoreUnavailable
from tests.eventually import eventually
from tests.store.projection_builders import Exchange, an_order, open_exchange

BTC = "BTC-PERP"


@pytest_asyncio.fixture
async def exchange(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Exchange]:
    """BTC-PERP with three trades matched and nothing persisted yet."""
    monkeypatch.setattr("store.projection.projector.LOCK_TIMEOUT_MS", 60_000)
    opened = await open_exchange(database)
    maker, taker = await opened.user("a@x.io"), await opened.user("b@x.io")
    for _ in range(3):
        await opened.submit(BTC, an_order(maker, Side.BUY, 2, 600_000))
        await opened.submit(BTC, an_order(taker, Side.SELL, 1, 600_000))
    await opened.match(BTC)
    yield opened
    await opened.close()


async def persisted(exchange: Exchange) -> tuple[int, int, int]:
    """Last persisted event, number of fills and of ledger entries of the market."""
    row = await exchange.session.fetchrow(
        "SELECT (SELECT event_seq FROM progress p JOIN markets m USING (market_id) WHERE name = $1), "
        "(SELECT count(*) FROM fills), (SELECT count(*) FROM ledger WHERE event_seq IS NOT NULL)",
        BTC,
    )
    assert row is not None
    return row[0], row[1], row[2]


async def assert_finishes(exchange: Exchange) -> None:
    """The right records heal it: everything persisted once, books balanced."""
    await exchange.projections[BTC].apply(exchange.records(BTC, 1))
    assert (await persisted(exchange))[:2] == (exchange.markets[BTC].event_seq, 6)
    assert await audit(exchange.session) == []


async def test_a_missing_event_stops_the_projection_and_heals_from_the_log(exchange: Exchange) -> None:
    """A gap says which event is expected, changes nothing, and the log read again from there heals it."""
    await exchange.projections[BTC].apply(exchange.records(BTC, 1, last=3))
    before = await persisted(exchange)
    with pytest.raises(EventGap) as gap:
        await exchange.projections[BTC].apply(exchange.records(BTC, 5))
    assert (gap.value.expected, gap.value.got) == (4, 5)
    assert await persisted(exchange) == before
    await assert_finishes(exchange)


async def test_a_gap_inside_a_batch_keeps_the_whole_batch_out(exchange: Exchange) -> None:
    """What came before the hole is not persisted either: all or nothing."""
    with pytest.raises(EventGap):
        await exchange.projections[BTC].apply(exchange.records(BTC, 1, last=3) + exchange.records(BTC, 6))
    assert await persisted(exchange) == (0, 0, 0)
    await assert_finishes(exchange)


async def test_a_foreign_log_is_refused_even_where_its_numbers_fit(exchange: Exchange) -> None:
    """The next record must chain to the hash of the last persisted event."""
    await exchange.projections[BTC].apply(exchange.records(BTC, 1, last=3))
    before = await persisted(exchange)
    foreign = rechained(exchange.records(BTC, 4), "f" * 32)
    with pytest.raises(ChainBroken):
        await exchange.projections[BTC].apply([foreign])
    assert await persisted(exchange) == before
    await assert_finishes(exchange)


async def test_a_repeated_event_with_other_bytes_is_refused(exchange: Exchange) -> None:
    """The last persisted event comes again with another hash: the log is not the one that was persisted."""
    await exchange.projections[BTC].apply(exchange.records(BTC, 1, last=3))
    with pytest.raises(ChainBroken):
        await exchange.projections[BTC].apply([rechained(exchange.records(BTC, 3), "f" * 32)])
    await assert_finishes(exchange)


async def test_a_record_that_contradicts_its_own_hash_is_refused(exchange: Exchange) -> None:
    """A byte changed on the way shows in the record itself."""
    record = exchange.records(BTC, 1)[0]
    events = [*record.events]
    events[1] = msgspec.Raw(bytes(events[1]).replace(b'"quantity":2', b'"quantity":3'))
    with pytest.raises(ChainBroken):
        await exchange.projections[BTC].apply([msgspec.structs.replace(record, events=events)])
    assert await persisted(exchange) == (0, 0, 0)


async def test_another_markets_record_is_refused(exchange: Exchange) -> None:
    """Records of ETH-PERP never reach the rows of BTC-PERP."""
    await exchange.match("ETH-PERP")
    with pytest.raises(ChainBroken):
        await exchange.projections[BTC].apply(exchange.records("ETH-PERP", 1))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM orders)",
        "UPDATE orders SET remaining = remaining + 1",
        "UPDATE orders SET user_id = user_id + 1",
        "UPDATE orders SET status = 'CANCELLED'",
        "DELETE FROM positions",
    ],
)
async def test_an_event_that_contradicts_the_rows_is_loud(exchange: Exchange, damage: str) -> None:
    """A missing or different row is a bug or a lost table: nothing is written on top of it."""
    await exchange.session.execute(damage)
    with pytest.raises(ProjectionBroken):
        await exchange.projections[BTC].apply(exchange.records(BTC, 1))
    assert await persisted(exchange) == (0, 0, 0)


async def test_a_killed_session_is_an_outage_and_the_same_records_go_through_after_it(exchange: Exchange) -> None:
    """The connection dies while a lock is awaited; nothing is written, and a retry on a new session finishes."""
    async with exchange.session.transaction():
        await exchange.session.execute("SELECT 1 FROM progress FOR UPDATE")
        waiting = asyncio.create_task(exchange.projections[BTC].apply(exchange.records(BTC, 1)))
        await eventually(lambda: kill_sessions_waiting_for_a_lock(exchange))
        with pytest.raises(StoreUnavailable):
            await waiting
    assert await persisted(exchange) == (0, 0, 0)
    await assert_finishes(exchange)


async def test_a_commit_that_nobody_acknowledged_is_found_done(exchange: Exchange) -> None:
    """The connection dies just after the commit: the retry drops what was persisted."""

    class LosesItsCommit(asyncpg.Connection):
        async def execute(self, query: str, *arguments: object) -> str:
            status = await super().execute(query, *arguments)
            if query.startswith("COMMIT"):
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            return status

    async def connect() -> Connection:
        return await asyncpg.connect(exchange.dsn, connection_class=LosesItsCommit)

    with pytest.raises(StoreUnavailable) as lost:
        await Projection(connect, BTC).apply(exchange.records(BTC, 1))
    assert lost.value.outcome_is_unknown
    assert (await persisted(exchange))[1] == 6
    await assert_finishes(exchange)


async def test_a_cancelled_call_leaves_no_lock(exchange: Exchange) -> None:
    """A rebalance cancels the agent in the middle: the next owner can continue at once."""
    async with exchange.session.transaction():
        await exchange.session.execute("SELECT 1 FROM accounts FOR UPDATE")
        waiting = asyncio.create_task(exchange.projections[BTC].apply(exchange.records(BTC, 1)))
        await eventually(lambda: sessions_waiting_for_a_lock(exchange))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await assert_finishes(exchange)


async def test_a_deadlock_repeats_the_transaction(exchange: Exchange) -> None:
    """PostgreSQL picks the projection as the victim: it runs again, and nobody notices."""
    other = await asyncpg.connect(exchange.dsn)
    await other.execute("SET deadlock_timeout = '60s'")
    await other.execute("BEGIN")
    await other.execute("SELECT 1 FROM accounts FOR UPDATE")
    waiting = asyncio.create_task(exchange.projections[BTC].apply(exchange.records(BTC, 1)))
    await eventually(lambda: sessions_waiting_for_a_lock(exchange))
    await other.execute("SELECT 1 FROM progress FOR UPDATE")  # what the projection holds: one of the two must go
    await other.execute("COMMIT")
    assert await waiting == exchange.markets[BTC].command_seq
    await other.close()
    await assert_finishes(exchange)


async def test_a_database_that_is_gone_is_an_outage(exchange: Exchange) -> None:
    """No connection at all says the same as a lost one."""

    async def connect() -> Connection:
        return await asyncpg.connect("postgresql://nobody@127.0.0.1:1/none", timeout=1)

    with pytest.raises(StoreUnavailable):
        await Projection(connect, BTC).apply(exchange.records(BTC, 1))


def rechained(records: list[EventRecord], prev_hash: str) -> EventRecord:
    """A record whose own hashes are right, after a different history."""
    final = prev_hash
    for body in records[0].events:
        final = chain_hash(final, body)
    return msgspec.structs.replace(records[0], prev_hash=prev_hash, hash=final)


async def sessions_waiting_for_a_lock(exchange: Exchange) -> int:
    """How many sessions of this database wait for a lock."""
    observer = await asyncpg.connect(exchange.dsn)
    waiting: int = await observer.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    await observer.close()
    return waiting


async def kill_sessions_waiting_for_a_lock(exchange: Exchange) -> int:
    """Terminate every session that waits for a lock; how many."""
    observer = await asyncpg.connect(exchange.dsn)
    killed: int = await observer.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    await observer.close()
    return killed
