"""Rows that another session holds, as a frozen process does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def holding(dsn: str, statement: str, *arguments: object) -> AsyncIterator[None]:
    """Hold what a locking statement finds; there must be some."""
    other = await asyncpg.connect(dsn)
    await other.execute("BEGIN")
    assert await other.fetch(statement, *arguments)
    try:
        yield
    finally:
        await other.close()
