"""PostgreSQL queries that can wait: each over its own connection, repeated while the server is unavailable."""

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
    """The result of a query that may run twice; waits through any outage."""
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
    """The result of a query over a new connection, which is closed afterwards."""
    connection = await connect_writer(dsn, worker)
    try:
        return await question(connection)
    finally:
        await close_quietly(connection)


async def close_quietly(connection: Connection) -> None:
    """Close a connection that may be dead already; waits at most a second."""
    try:
        await connection.close(timeout=1.0)
    except DATABASE_ERRORS:
        connection.terminate()


def away(error: BaseException) -> bool:
    """Whether PostgreSQL could not be reached; any other error is a bug of ours."""
    return isinstance(error, StoreUnavailable) or is_outage(error)
