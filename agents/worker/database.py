"""PostgreSQL queries that can wait, repeated while the server is unavailable: over a session that is kept, or one of their own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
KEPT_MAX = 2
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
    """The result of a query. After an error its session is closed: it may be dead, or in a transaction."""
    kept = _kept.get((asyncio.get_running_loop(), dsn))
    session = kept.take() if kept else None
    if session is None:
        session = await connect_writer(dsn, kept.name if kept else worker)
    try:
        answer = await question(session)
    except BaseException:
        await close_quietly(session)
        raise
    await (kept.give_back(session) if kept else close_quietly(session))
    return answer


class KeptSessions:
    """Open sessions of a process that nothing asks now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._idle: list[Connection] = []
        self._is_closed = False

    def take(self) -> "Connection | None":
        """One of them; None if there is none that is still open."""
        while self._idle:
            if not (session := self._idle.pop()).is_closed():
                return session
        return None

    async def give_back(self, session: Connection) -> None:
        """Keep a session for another query, if not enough are kept."""
        if self._is_closed or len(self._idle) >= KEPT_MAX:
            await close_quietly(session)
        else:
            self._idle.append(session)

    async def close(self) -> None:
        """Close all, also those that are given back later."""
        self._is_closed = True
        await asyncio.gather(*map(close_quietly, self._idle))


_kept: dict[tuple[asyncio.AbstractEventLoop, str], KeptSessions] = {}


@asynccontextmanager
async def keeping_sessions(dsn: str, name: str) -> AsyncIterator[None]:
    """Keep two sessions for queries as long as the block lasts: to open one costs PostgreSQL more than a short query."""
    place = asyncio.get_running_loop(), dsn
    _kept[place] = kept = KeptSessions(name)
    try:
        yield
    finally:
        del _kept[place]
        await kept.close()


async def close_quietly(connection: Connection) -> None:
    """Close a connection that may be dead already; waits at most a second."""
    try:
        await connection.close(timeout=1.0)
    except DATABASE_ERRORS:
        connection.terminate()


def away(error: BaseException) -> bool:
    """Whether PostgreSQL could not be reached; any other error is a bug of ours."""
    return isinstance(error, StoreUnavailable) or is_outage(error)
