"""The routes' only access to PostgreSQL: a pooled connection, and a result or an outage within the deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import asyncpg

from store.session.connect import Pool, Session, StoreUnavailable, is_outage

T = TypeVar("T")
_OF_THE_DATABASE = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised when the server is killed in the middle of an answer
)


class Database:
    """Runs short pieces of work on pooled connections; none keeps a request waiting beyond `deadline_s`."""

    def __init__(self, pool: Pool, deadline_s: float = 1.8) -> None:
        self._pool = pool
        self._deadline_s = deadline_s
        self._abandoned: set[asyncio.Task[object]] = set()

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do the work on a connection; raises StoreUnavailable when the database is down or too slow.

        Slow work is cancelled but not awaited: a frozen server delays the cancellation too.
        """
        task = asyncio.ensure_future(self._on_connection(work))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._deadline_s)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise StoreUnavailable(outcome_is_unknown=True)
        return task.result()

    def close(self) -> None:
        """Close every connection; work still running on them fails."""
        self._pool.terminate()

    async def _on_connection(self, work: Callable[[Session], Awaitable[T]]) -> T:
        with _outages_as_unavailable(outcome_is_unknown=False):
            connection = await self._pool.acquire(timeout=self._deadline_s)
        try:
            with _outages_as_unavailable(outcome_is_unknown=True):
                return await work(connection)
        finally:
            with _outages_as_unavailable(outcome_is_unknown=True):
                await self._pool.release(connection)

    def _abandon(self, task: asyncio.Task[T]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[T]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()


@contextmanager
def _outages_as_unavailable(*, outcome_is_unknown: bool) -> Iterator[None]:
    try:
        yield
    except _OF_THE_DATABASE as error:
        if is_outage(error):
            raise StoreUnavailable(outcome_is_unknown=outcome_is_unknown) from error
        raise
