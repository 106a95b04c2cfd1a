"""A second database, for a second playing."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio


@pytest_asyncio.fixture
async def second_database(postgres_dsn: str, template: str) -> AsyncIterator[str]:
    """DSN of another fresh database."""
    name = "second_crash_day"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres_dsn.replace("/perpetua?", f"/{name}?")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()
