"""Runs a batch as one transaction of three round trips, and handles database errors and outages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

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
from store.submission.reading import Wish, lock_and_read, read_states, read_wishes
from store.submission.requests import SubmissionOutcome, SubmissionRequest
from store.submission.writing import write_decisions

BATCH_MAX = 256
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
        """Answer every request, in order; at most BATCH_MAX of them.

        Raises StoreUnavailable when nothing was written, or when a commit was sent and its outcome is unknown.
        The requests of a batch that the database rejects are run one by one, so that one request cannot fail the others.
        """
        if len(batch) > BATCH_MAX:
            raise ValueError(len(batch))
        async with self._turn:
            wishes = read_wishes(batch)
            try:
                return await self._transact(batch, wishes, now, load)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.error("the database rejects a batch of %d; running its requests one by one: %r", len(batch), error)
                return await self._run_one_by_one(batch, wishes, now, load)

    async def close(self) -> None:
        """Give the session back."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run_one_by_one(
        self,
        batch: Sequence[SubmissionRequest],
        wishes: Sequence[Wish],
        now: Timestamp,
        load: Mapping[str, MarketLoad],
    ) -> list[SubmissionOutcome]:
        answers: list[SubmissionOutcome] = []
        for request, wish in zip(batch, wishes, strict=True):
            try:
                answers += await self._transact([request], [wish], now, load)
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
        wishes: Sequence[Wish],
        now: Timestamp,
        load: Mapping[str, MarketLoad],
    ) -> list[SubmissionOutcome]:
        """Run one transaction; a deadlock or a serialization failure repeats it, because nothing was written."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._attempt(batch, wishes, now, load)
            except _CONFLICTS:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError  # the last attempt returns or raises

    async def _attempt(
        self,
        batch: Sequence[SubmissionRequest],
        wishes: Sequence[Wish],
        now: Timestamp,
        load: Mapping[str, MarketLoad],
    ) -> list[SubmissionOutcome]:
        """1 lock and read, 2 decide and write, 3 commit. Raises the database's error, after a rollback.

        Only a batch with a refusal for the margin reads once more, before the commit: the cancels under way.
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
