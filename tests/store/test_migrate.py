"""Bringing a database to the newest schema, without stopping anything."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from schemas.orders import Side
from store.audit.audit import audit
from store.schema.large_indexes import RETIRED, index_files
from store.schema.migrate import migrate, migration_files
from store.schema.newer_database import DatabaseIsNewer
from tests.eventually import eventually
from tests.store.account_builder import NOW, place, session_to, submission_to, user_with
from tests.store.projection_builders import an_order, open_exchange

INDEXES = [path.stem for path in index_files()]
_STATES = """SELECT c.relname, c.oid, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname = ANY($1) ORDER BY 1"""
_OF_LOGINS = "logins, recovery_codes, totp, used_signatures; ALTER TABLE api_keys DROP COLUMN signing_nonce; DROP FUNCTION announce_ended_login"
_BEFORE_HOPS = f"""DROP TABLE relayed_records, persisted_records, market_rests, price_reports, {_OF_LOGINS}; ALTER TABLE orders DROP COLUMN ended_event_seq;
UPDATE alembic_version SET version_num = '0013'"""
REDUCE_ONLY_SUMS = """SELECT user_id, reduce_buy_lots, reduce_sell_lots, reduce_buy_notional, reduce_sell_notional,
reduce_buy_cost, reduce_sell_cost, reduce_loss, reduce_excess FROM positions ORDER BY user_id"""
_BEFORE_REDUCE_ONLY_SUMS = f"""DROP TABLE market_rests, price_reports, {_OF_LOGINS}; DROP TRIGGER orders_excess ON orders; DROP TRIGGER orders_reduce_only_new ON orders;
DROP TRIGGER orders_reduce_only_changed ON orders; ALTER TABLE orders DROP COLUMN excess_per_lot, DROP COLUMN max_slippage;
ALTER TABLE positions DROP COLUMN reduce_buy_lots, DROP COLUMN reduce_sell_lots, DROP COLUMN reduce_buy_notional,
  DROP COLUMN reduce_sell_notional, DROP COLUMN reduce_buy_cost, DROP COLUMN reduce_sell_cost, DROP COLUMN reduce_loss,
  DROP COLUMN reduce_excess;
UPDATE alembic_version SET version_num = '0016'"""
_IS_WAITING = """SELECT count(*) FROM pg_locks
WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted"""
_DROPPING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'DROP INDEX%' AND wait_event_type = 'Lock'"""
_BUILDING = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()"


@pytest_asyncio.fixture
async def empty(postgres_dsn: str) -> AsyncIterator[str]:
    """DSN of a database without anything."""
    async with session_to(postgres_dsn) as server:
        await server.execute("CREATE DATABASE empty")
        yield postgres_dsn.replace("/perpetua?", "/empty?")
        await server.execute("DROP DATABASE empty WITH (FORCE)")


async def _drop_the_indexes(session: asyncpg.Connection) -> None:
    await session.execute(f"DROP INDEX {', '.join(INDEXES)}")


async def _states(session: asyncpg.Connection) -> list[tuple[str, int, bool]]:
    return [tuple(row) for row in await session.fetch(_STATES, INDEXES)]


async def test_three_migrations_at_once_on_an_empty_database_agree(empty: str) -> None:
    """Under the advisory lock one works and the others find nothing to do."""
    await asyncio.gather(*(asyncio.to_thread(migrate, empty) for _ in range(3)))
    async with session_to(empty) as session:
        newest = migration_files()[-1].name[:4]
        assert await session.fetchval("SELECT version_num FROM alembic_version") == newest
        assert await session.fetchval("SELECT count(*) FROM house_accounts") == 4
        assert [(name, is_valid) for name, _, is_valid in await _states(session)] == [(name, True) for name in INDEXES]


async def test_a_failed_migration_leaves_the_database_as_it_was(empty: str) -> None:
    """All files of a run are one transaction."""
    async with session_to(empty) as session:
        await session.execute("CREATE TABLE engine_snapshots ()")
        with pytest.raises(Exception, match="engine_snapshots"):
            await asyncio.to_thread(migrate, empty)
        tables = await session.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert [row["tablename"] for row in tables] == ["engine_snapshots"]


async def test_writers_continue_while_an_index_of_a_large_table_is_built(database: str) -> None:
    """A transaction that has written keeps the index waiting, but no order after it; in the end every row is in it."""
    async with session_to(database) as session, session_to(database) as slow, submission_to(database) as submission:
        await _drop_the_indexes(session)
        user = await user_with(session, 10_000_000_000)
        await submission.run([place(user)], NOW, {})
        async with slow.transaction():
            await slow.execute("UPDATE orders SET price = price")
            migrating = asyncio.create_task(asyncio.to_thread(migrate, database))
            await eventually(lambda: session.fetchval(_BUILDING))
            await asyncio.wait_for(submission.run([place(user)], NOW, {}), 10)
            assert not migrating.done()
        await migrating
        assert [(name, is_valid) for name, _, is_valid in await _states(session)] == [(name, True) for name in INDEXES]
        await session.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        count = "SELECT count(*) FROM orders WHERE market_id = 1 AND side = 'BUY' AND is_live"
        assert "orders_book" in str(await session.fetch(f"EXPLAIN {count}"))
        assert await session.fetchval(count) == 2


async def test_orders_continue_while_a_migration_waits_for_a_dump(database: str) -> None:
    """A change of a table waits for its readers, and nobody waits for it: it gives way, and is made when the dump has ended."""
    async with session_to(database) as session, session_to(database) as dump, submission_to(database) as submission:
        user = await user_with(session, 10_000_000_000)
        await session.execute(_BEFORE_HOPS)
        async with dump.transaction():
            await dump.execute("SELECT count(*) FROM orders")
            migrating = asyncio.create_task(asyncio.to_thread(migrate, database))
            await eventually(lambda: session.fetchval(_IS_WAITING))
            await asyncio.wait_for(submission.run([place(user)], NOW, {}), 10)
            assert not migrating.done()
        await migrating
        assert await session.fetchval("SELECT count(*) FROM orders WHERE ended_event_seq IS NULL") == 1


async def test_a_database_of_a_later_release_is_left_alone(database: str) -> None:
    """After a downgrade the old release reports it, and changes nothing."""
    async with session_to(database) as session:
        await session.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseIsNewer, match="migration 9999 is not known"):
            await asyncio.to_thread(migrate, database)
        assert await session.fetchval("SELECT version_num FROM alembic_version") == "9999"


async def test_an_index_whose_build_was_interrupted_is_built_again(database: str) -> None:
    """What a kill in the middle leaves exists by its name, slows every write and serves no query."""
    async with session_to(database) as session, session_to(database) as slow:
        await _drop_the_indexes(session)
        await session.execute("SET statement_timeout = '500ms'")
        async with slow.transaction():
            await slow.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
            with pytest.raises(asyncpg.QueryCanceledError):
                await session.execute(next(path for path in index_files() if path.stem == "orders_book").read_text())
        assert [(name, is_valid) for name, _, is_valid in await _states(session)] == [("orders_book", False)]
        await asyncio.to_thread(migrate, database)
        assert [(name, is_valid) for name, _, is_valid in await _states(session)] == [(name, True) for name in INDEXES]


async def test_an_index_that_is_there_stays(database: str) -> None:
    """However often one migrates: also where an earlier release built it within its migrations."""
    async with session_to(database) as session:
        before = await _states(session)
        await asyncio.to_thread(migrate, database)
        assert await _states(session) == before
        assert len(before) == len(INDEXES) > 0


async def test_a_retired_index_is_dropped_while_writers_continue(database: str) -> None:
    """The database of an earlier release has it; a transaction that writes the table holds up the drop, but no order."""
    count = "SELECT count(*) FROM pg_class WHERE relname = ANY($1)"
    async with session_to(database) as session, session_to(database) as slow, submission_to(database) as submission:
        assert await session.fetchval(count, RETIRED) == 0
        await session.execute("CREATE INDEX positions_open ON positions (market_id, user_id) WHERE lots <> 0")
        user = await user_with(session, 10_000_000_000)
        await submission.run([place(user)], NOW, {})
        async with slow.transaction():
            await slow.execute("LOCK TABLE positions IN ROW EXCLUSIVE MODE")
            migrating = asyncio.create_task(asyncio.to_thread(migrate, database))
            await eventually(lambda: session.fetchval(_DROPPING))
            await asyncio.wait_for(submission.run([place(user)], NOW, {}), 10)
            assert not migrating.done()
        await migrating
        assert await session.fetchval(count, RETIRED) == 0


async def test_the_reduce_only_orders_of_a_running_exchange_are_counted(database: str) -> None:
    """Migration 0019 finds orders that rest, one partly filled, one that loses more than it frees; the sums are exact."""
    opened = await open_exchange(database)
    ann, bob = await opened.user("a@x.io"), await opened.user("b@x.io")
    await opened.submit("BTC-PERP", an_order(ann, Side.BUY, 9, 600_000))
    await opened.submit("BTC-PERP", an_order(bob, Side.SELL, 9, 600_000))
    await opened.submit("BTC-PERP", an_order(ann, Side.SELL, 5, 600_500, reduce_only=True))
    await opened.submit("BTC-PERP", an_order(bob, Side.BUY, 2, 600_500))
    await opened.submit("BTC-PERP", an_order(ann, Side.SELL, 1, 620_000))
    await opened.submit("BTC-PERP", an_order(bob, Side.BUY, 3, 590_000, reduce_only=True, loss_per_lot=4_000_000))
    await opened.settle()
    await opened.submit("BTC-PERP", an_order(bob, Side.BUY, 4, 590_000, reduce_only=True))  # PENDING
    expected = await opened.session.fetch(REDUCE_ONLY_SUMS)
    assert [(row["reduce_buy_lots"], row["reduce_sell_lots"], row["reduce_excess"] > 0) for row in expected] == [
        (0, 3, False),
        (7, 0, True),
    ]
    await opened.session.execute(_BEFORE_REDUCE_ONLY_SUMS)
    await asyncio.to_thread(migrate, database)
    assert await opened.session.fetch(REDUCE_ONLY_SUMS) == expected
    assert await audit(opened.session) == []
    await opened.settle()
    assert await audit(opened.session) == []
    await opened.close()
