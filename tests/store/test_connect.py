"""Sessions and their settings, and which errors mean that the database is out of reach."""

import asyncio

import asyncpg
import pytest

from store.session.connect import Session, connect_reader_pool, connect_writer, is_outage
from tests.store.account_builder import session_to

LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


async def shown(session: Session, setting: str) -> str:
    """A setting as the session has it."""
    value: str = await session.fetchval("SELECT current_setting($1)", setting)
    return value


async def test_a_writer_takes_indexes_waits_for_the_disk_and_may_idle_in_its_transaction(database: str) -> None:
    """A plan made on an empty table must not scan it later; a 202 is durable."""
    session = await connect_writer(database, "test writer")
    for setting, value in {
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": "0",
        "application_name": "test writer",
    }.items():
        assert await shown(session, setting) == value
    await session.close()


async def test_a_reader_may_hold_no_snapshot_for_long(database: str) -> None:
    """Statements, idle transactions and, where PostgreSQL can, whole transactions are bounded; also when lent again."""
    async with await connect_reader_pool(database, "test reader", size_max=1, command_timeout_s=3) as pool:
        for _ in range(2):
            async with pool.acquire() as session:
                assert await shown(session, "statement_timeout") == "3s"
                assert await shown(session, "idle_in_transaction_session_timeout") == "10s"
                if session.get_server_version() >= (17,):
                    assert await shown(session, "transaction_timeout") == "30s"


async def test_a_killed_session_is_an_outage_at_the_call_and_at_every_later_one(database: str) -> None:
    """asyncpg reports it with different exceptions."""
    async with session_to(database) as session:
        victim = await connect_writer(database, "victim")
        sleep = asyncio.create_task(victim.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0)
        await session.execute("SELECT pg_terminate_backend($1, 5000)", victim.get_server_pid())
        with pytest.raises(LOST) as at_the_call:
            await sleep
        with pytest.raises(LOST) as later:
            await victim.fetchval("SELECT 1")
        assert is_outage(at_the_call.value)
        assert is_outage(later.value)


async def test_a_server_that_does_not_answer_in_time_is_an_outage(database: str) -> None:
    """Nobody waits longer than the command's time-out."""
    session = await connect_writer(database, "patient", command_timeout_s=0.05)
    with pytest.raises(TimeoutError) as silence:
        await session.execute("SELECT pg_sleep(60)")
    assert is_outage(silence.value)
    session.terminate()


async def test_a_wrong_statement_is_no_outage(database: str) -> None:
    """Neither what the server refuses nor what the client cannot encode."""
    async with session_to(database) as session:
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await session.execute("INSERT INTO house_accounts VALUES (-1, 'again')")
        with pytest.raises(asyncpg.DataError) as unencodable:
            await session.fetchval("SELECT $1::int8", 2**80)
        assert not is_outage(refused.value)
        assert not is_outage(unencodable.value)
