"""Questions to PostgreSQL that have time: over a connection of their own, repeated while the server is away."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from agents.worker.retry import Backoff
from store.session.connect import Connection, StoreUnavailable, connect_writer, is_outage

DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    StoreUnavailable,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
T = TypeVar("T")

log = logging.getLogger(__name__)


async def ask_database(dsn: str, worker: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    """The answer to a question that may be asked twice; waits through any outage."""
    backoff = Backoff()
    while True:
        try:
            return await ask_once(dsn, worker, question)
        except DATABASE_ERRORS as error:
            if not away(error):
                raise
            log.warning("%s waits for PostgreSQL: %r", worker, error)
        await backoff.wait()


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
