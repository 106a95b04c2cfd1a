"""What a submission says when its database is gone, and the plans it runs with."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from schemas.orders import OrderStatus
from store.markets.registry import MarketRegistry, load_registry
from store.session import chained_transactions
from store.session.connect import Connection, Session, StoreUnavailable, connect_writer, is_outage
from store.submission import Placed, Submission, SubmitCancel
from tests.eventually import eventually
from tests.store.account_builder import NOW, USDC, place, session_to, submission_to, user_with

BLOCK_COMMITS = """
CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER held AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_for_the_test();
"""
FIRST = Placed("BTC-PERP-2", "BTC-PERP:2", OrderStatus.PENDING, is_replay=False)


async def blocked_backend(session: Session) -> int | None:
    """Process id of the submission's backend while it waits for a lock."""
    statement = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name = 'submission' AND wait_event_type = 'Lock' AND datname = current_database()
    """
    pid: int | None = await session.fetchval(statement)
    return pid


async def terminate(session: Session, pid: int) -> None:
    """Kill a backend and wait until it is gone."""
    await session.execute("SELECT pg_terminate_backend($1, 5000)", pid)


async def test_a_connection_lost_at_commit_leaves_the_outcome_unknown(database: str) -> None:
    """COMMIT was sent: nobody may run the batch again; the next batch gets a new session."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await session.execute(BLOCK_COMMITS)
        await session.execute("SELECT pg_advisory_lock(1)")
        run = asyncio.create_task(submission.run([place(user)], NOW, {}))
        await terminate(session, await eventually(lambda: blocked_backend(session)))
        with pytest.raises(StoreUnavailable) as failure:
            await run
        assert failure.value.outcome_is_unknown
        await session.execute("SELECT pg_advisory_unlock(1)")
        assert await submission.run([place(user)], NOW, {}) == [FIRST]


async def test_a_connection_lost_before_the_commit_has_written_nothing(database: str) -> None:
    """Killed while it waits for the account: the client gets an error, and may repeat."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        async with session_to(database) as rival, rival.transaction():
            await rival.execute("SELECT 1 FROM accounts WHERE user_id = $1 FOR UPDATE", user)
            run = asyncio.create_task(submission.run([place(user)], NOW, {}))
            await terminate(session, await eventually(lambda: blocked_backend(session)))
            with pytest.raises(StoreUnavailable) as failure:
                await run
        assert not failure.value.outcome_is_unknown
        assert await submission.run([place(user)], NOW, {}) == [FIRST]


async def test_a_cancelled_batch_gives_its_locks_back(database: str) -> None:
    """A caller that stops waiting leaves no session that holds an account."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        async with session_to(database) as rival, rival.transaction():
            await rival.execute("SELECT 1 FROM accounts WHERE user_id = $1 FOR UPDATE", user)
            run = asyncio.create_task(submission.run([place(user)], NOW, {}))
            await eventually(lambda: blocked_backend(session))
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        assert await submission.run([place(user)], NOW, {}) == [FIRST]


async def test_a_server_that_cannot_be_reached_is_unavailable(tmp_path: object) -> None:
    """Nothing was sent, so the outcome is known."""
    submission = Submission(_connecting_to(f"postgresql://x@/x?host={tmp_path}"), MarketRegistry())
    with pytest.raises(StoreUnavailable) as failure:
        await submission.run([SubmitCancel(1, "BTC-PERP-2")], NOW, {})
    assert not failure.value.outcome_is_unknown
    assert is_outage(failure.value.__cause__ or ValueError())


async def test_a_deadlock_repeats_the_batch(database: str) -> None:
    """The transaction that took the locks the other way round wins; the batch is run again and nobody notices."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        async with session_to(database) as rival, rival.transaction():
            await rival.execute("SET deadlock_timeout = '1min'")  # so that the submission is the one to notice
            await rival.execute("SELECT 1 FROM counters WHERE market_id = 1 FOR UPDATE")
            run = asyncio.create_task(submission.run([place(user)], NOW, {}))
            await eventually(lambda: blocked_backend(session))
            await rival.execute("SELECT 1 FROM accounts WHERE user_id = $1 FOR UPDATE", user)
        assert await run == [FIRST]


async def test_an_idle_session_holds_neither_transaction_id_nor_snapshot(database: str) -> None:
    """COMMIT AND CHAIN leaves a transaction that no vacuum has to wait for."""
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user)], NOW, {})
        await submission.run([place(user, "100")], NOW, {})
        row = await session.fetchrow(
            """SELECT state, backend_xid, backend_xmin FROM pg_stat_activity
            WHERE application_name = 'submission' AND datname = current_database()"""
        )
        assert tuple(row or ()) == ("idle in transaction", None, None)


async def test_what_a_session_writes_is_counted_and_its_next_batch_begins(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL vacuums tables by what it has counted, and it counts between transactions only."""
    monkeypatch.setattr(chained_transactions, "COUNTED_EVERY_S", 0.0)
    async with submission_to(database) as submission, session_to(database) as session:
        user = await user_with(session, 10_000 * USDC)

        async def is_counted() -> bool:
            (answer,) = await submission.run([place(user, "0.001")], NOW, {})
            assert isinstance(answer, Placed)
            counted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'orders'"
            return bool(await session.fetchval(counted))

        await eventually(is_counted, every_s=0.2)


async def test_plans_made_on_an_empty_database_take_the_indexes(database: str) -> None:
    """A generic plan lives as long as its session: one that scans whole tables would get slower forever."""
    plans: list[str] = []

    async def connect() -> Connection:
        connection = await connect_writer(database, "submission")
        await connection.execute(
            """LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET client_min_messages = log;
            SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = log"""
        )
        connection.add_log_listener(lambda _, message: plans.append(message.message or ""))
        return connection

    async with session_to(database) as session:
        submission = Submission(connect, await load_registry(session))
        user = await user_with(session, 10_000 * USDC)
        await submission.run([place(user, client_order_id="a1")], NOW, {})
        await submission.run([SubmitCancel(user, "BTC-PERP-2"), place(user, client_order_id="a2")], NOW, {})
        await submission.close()
    touched = [plan for plan in plans if (" orders " in plan or " counters " in plan)]
    assert any("Index Scan using orders_client_id" in plan for plan in touched)
    assert any("Index Scan using orders_pkey" in plan for plan in touched)
    assert [plan for plan in touched if "Seq Scan on orders" in plan or "Seq Scan on positions" in plan] == []


def _connecting_to(dsn: str) -> Callable[[], Coroutine[object, object, Connection]]:
    async def connect() -> Connection:
        return await connect_writer(dsn, "submission")

    return connect
