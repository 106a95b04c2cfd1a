"""Sessions that are kept between two queries of a worker."""

import asyncio

import asyncpg
import pytest

from agents.worker.database import KEPT_MAX, ask_database, ask_once, keeping_sessions
from store.session.connect import Connection
from tests.eventually import eventually
from tests.store.account_builder import session_to

OPEN = "SELECT count(*) = $1 FROM pg_stat_activity WHERE application_name = 'kept' AND datname = current_database()"


async def backend(session: Connection) -> int:
    """The process of PostgreSQL that answers."""
    return int(await session.fetchval("SELECT pg_backend_pid() FROM pg_sleep(0.05)"))


async def test_queries_share_sessions_and_few_are_kept(database: str) -> None:
    """One after the other over the same one; many at once over one each, of which two stay open until the block ends."""
    async with session_to(database) as session:
        async with keeping_sessions(database, "kept"):
            first = await ask_once(database, "worker", backend)
            assert await ask_once(database, "worker", backend) == first
            assert len(set(await asyncio.gather(*(ask_once(database, "worker", backend) for _ in range(5))))) == 5
            await eventually(lambda: session.fetchval(OPEN, KEPT_MAX))
        await eventually(lambda: session.fetchval(OPEN, 0))


async def test_a_session_is_not_kept_after_an_error(database: str) -> None:
    """It may be in a transaction that failed."""

    async def fail(session: Connection) -> None:
        await session.execute("BEGIN")
        await session.execute("SELECT 1 / 0")

    async with keeping_sessions(database, "kept"):
        first = await ask_once(database, "worker", backend)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await ask_once(database, "worker", fail)
        assert await ask_once(database, "worker", backend) != first


async def test_a_kept_session_that_is_lost_costs_no_answer(database: str) -> None:
    """PostgreSQL was restarted meanwhile."""
    async with keeping_sessions(database, "kept"), session_to(database) as session:
        for _ in range(2):
            lost = await ask_database(database, "worker", backend)
            await session.fetchval("SELECT pg_terminate_backend($1)", lost)
            assert await ask_database(database, "worker", backend) != lost
