"""Runs a batch as one transaction of three round trips, and handles database errors and outages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import asyncpg

from schemas.refusals import ErrorCode, Refused
from schemas.units import Timestamp
from store.crash_points import CrashPoint, passing
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.session.chained_transactions import ChainedTransactions
from store.session.connect import Connection, StoreUnavailable, is_outage
from store.submission.decisions import Decisions
from store.submission.pending_cancels import explained, read_pending_cancels
from store.submission.reading import Unit, Wish, lock_and_read, read_states, unit_of
from store.submission.requests import (
    Answers,
    PartRequest,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitGroup,
)
from store.submission.writing import write_decisions

BATCH_MAX = 256
"""Orders and cancels in one transaction."""
_ATTEMPTS = 3
_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
log = logging.getLogger(__name__)


class Submission:
    """Stores orders and cancels in batches; one session, one batch at a time.

    The session idles inside a chained transaction that holds neither xid nor snapshot, so a batch rarely needs a BEGIN, and
    no statement may call `now()`.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], registry: MarketRegistry) -> None:
        self._connect, self._registry = connect, registry
        self._connection: Connection | None = None
        self._transactions = ChainedTransactions()
        self._turn = asyncio.Lock()

    async def run(
        self, batch: Sequence[SubmissionRequest], now: Timestamp, load: Mapping[str, MarketLoad]
    ) -> list[SubmissionOutcome]:
        """Answer every request, in order; they have at most BATCH_MAX orders and cancels.

        Raises StoreUnavailable when nothing was written, or when a commit was sent and its outcome is unknown.
        The requests of a batch that the database rejects are run one by one, so that one request cannot fail the others;
        a group stays one transaction.
        """
        units = [unit_of(request) for request in batch]
        if (size := sum(len(unit.parts) for unit in units)) > BATCH_MAX:
            raise ValueError(size)
        async with self._turn:
            try:
                return await self._transact(batch, units, now, load)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.error("the database rejects a batch of %d; running its requests one by one: %r", len(batch), error)
                return await self._run_one_by_one(batch, units, now, load)

    async def close(self) -> None:
        """Give the session back."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run_one_by_one(
        self,
        batch: Sequence[SubmissionRequest],
        units: Sequence[Unit],
        now: Timestamp,
        load: Mapping[str, MarketLoad],
    ) -> list[SubmissionOutcome]:
        answers: list[SubmissionOutcome] = []
        for request, unit in zip(batch, units, strict=True):
            try:
                answers += await self._transact([request], [unit], now, load)
            except StoreUnavailable:  # earlier requests have their answers; this one and the rest get this answer
                unavailable = Refused(ErrorCode.UNAVAILABLE, "the store cannot be reached; query before you retry")
                return answers + [unavailable] * (len(batch) - len(answers))
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.error("the database rejects a %s: %r", type(request).__name__, error)
                answers.append(Refused(ErrorCode.INTERNAL_ERROR, "the request could not be stored"))
        return answers

    async def _transact(
        self,
        batch: Sequence[SubmissionRequest],
        units: Sequence[Unit],
        now: Timestamp,
        load: Mapping[str, MarketLoad],
    ) -> list[SubmissionOutcome]:
        """Run one transaction; a deadlock or a serialization failure repeats it, because nothing was written."""
        parts = [part for unit in units for part in unit.parts]
        wishes = [wish for unit in units for wish in unit.wishes]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _of_requests(batch, units, await self._attempt(parts, wishes, now, load))
            except _CONFLICTS:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError  # the last attempt returns or raises

    async def _attempt(
        self,
        batch: Sequence[PartRequest],
        wishes: Sequence[Wish],
        now: Timestamp,
        load: Mapping[str, MarketLoad],
    ) -> list[SubmissionOutcome]:
        """1 lock and read, 2 decide and write, 3 commit. Raises the database's error, after a rollback.

        Only a batch with a cancel-all reads once more after the lock, the live orders, and one with a refusal for the margin
        before the commit, the cancels under way.
        """
        connection = await self._session()
        is_clean = is_committing = False
        try:
            reading = await lock_and_read(connection, self._registry, batch, wishes, load)
            decisions = Decisions(self._registry, reading, batch, wishes, now)
            bases = {} if decisions.is_empty else await write_decisions(connection, decisions, now)
            states = await read_states(connection, decisions.not_open)
            pending = await read_pending_cancels(connection, decisions.short_of_margin())
            is_committing = not decisions.is_empty
            await self._transactions.commit(connection)
            is_clean = True
            passing(CrashPoint.AFTER_COMMIT_BEFORE_REPLY)
        except _DATABASE_ERRORS as error:
            if is_committing or is_outage(error):
                raise StoreUnavailable(outcome_is_unknown=is_committing) from error
            is_clean = await self._rolled_back(connection)
            raise
        finally:
            if not is_clean:  # also when this task is cancelled: the state of the session is unknown
                self._drop()
        return explained(batch, decisions.answers(bases, states), pending)

    async def _session(self) -> Connection:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            await self._transactions.begin(self._connection)
        except _DATABASE_ERRORS as error:
            self._drop()
            raise StoreUnavailable(outcome_is_unknown=False) from error
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _rolled_back(self, connection: Connection) -> bool:
        try:
            await self._transactions.roll_back(connection)
        except _DATABASE_ERRORS:
            return False
        return True


def _of_requests(
    batch: Sequence[SubmissionRequest], units: Sequence[Unit], outcomes: Sequence[SubmissionOutcome]
) -> list[SubmissionOutcome]:
    """The outcome of each request from those of all parts."""
    rest: Iterator[Any] = iter(outcomes)
    return [
        Answers(tuple(islice(rest, len(unit.parts)))) if isinstance(request, SubmitGroup) else next(rest)
        for request, unit in zip(batch, units, strict=True)
    ]
