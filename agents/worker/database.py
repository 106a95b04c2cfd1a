"""Questions to PostgreSQL that have time: over a connection of their own, repeated while the server is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from store.session.connect import Connection, StoreUnavailable, connect_writer, is_outage

DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    StoreUnavailable,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
RETRY_AFTER_S = 0.1
RETRY_AFTER_MAX_S = 2.0
T = TypeVar("T")

log = logging.getLogger(__name__)


async def ask_database(dsn: str, worker: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    """The answer to a question that may be asked twice; waits through any outage."""
    wait_s = RETRY_AFTER_S
    while True:
        try:
            return await ask_once(dsn, worker, question)
        except DATABASE_ERRORS as error:
            if not away(error):
                raise
            log.warning("%s waits for PostgreSQL: %r", worker, error)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, RETRY_AFTER_MAX_S)


async def ask_once(dsn: str, worker: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    """The answer of one connection, closed afterwards."""
    connection = await connect_writer(dsn, worker)
    try:
        return await question(connection)
    finally:
        await close_quietly(connection)


async def close_quietly(connection: Connection) -> None:
    """End a connection that may be dead already; never waits longer than a second."""
    try:
        await connection.close(timeout=1.0)
    except DATABASE_ERRORS:
        connection.terminate()


def away(error: BaseException) -> bool:
    """Whether PostgreSQL could not be reached; anything else is our fault."""
    return isinstance(error, StoreUnavailable) or is_outage(error)
