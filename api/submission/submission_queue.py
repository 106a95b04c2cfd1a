"""Group commit: the requests that wait when a batch ends form the next one, in one transaction, cancels first.

When many wait, another batch can start while one is in flight, with accounts that are in none: the transactions of a
process then contend only for the counters of the markets, which they lock last. Fewer waiting requests are not worth a
transaction of their own. Every request gets its own answer, and the requests of an account are served in order. A group
of orders is one request: it is in one batch, and no other request comes between its orders.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias, overload

from api.errors import unavailable
from api.metrics import BATCH_SECONDS, BATCH_SIZE
from api.watch.outage_log import note_outage
from schemas.refusals import ErrorCode, Refused
from schemas.units import Timestamp
from store.markets.backlog import MarketLoad
from store.session.connect import StoreUnavailable
from store.submission import (
    Answers,
    CountdownsSet,
    OneOutcome,
    OneRequest,
    SeveralRequest,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitCancel,
    SubmitCancelAll,
    SubmitCountdown,
    SubmitGroup,
)

FAILURE_COUNTS_S = 10.0
OnStored: TypeAlias = Callable[[Sequence[SubmissionRequest], Sequence[SubmissionOutcome]], None]
_CANCELLING = (SubmitCancel, SubmitCancelAll, SubmitCountdown)
"""Requests that never raise a risk: they go first."""

log = logging.getLogger(__name__)


class Submits(Protocol):
    """Writes a batch to the database: store.submission.Submission."""

    def run(
        self, batch: Sequence[SubmissionRequest], now: Timestamp, load: Mapping[str, MarketLoad]
    ) -> Coroutine[Any, Any, Sequence[SubmissionOutcome]]:
        """One outcome per request, in their order; raises StoreUnavailable."""

    async def close(self) -> None:
        """Close its session."""


@dataclass(frozen=True)
class QueueLimits:
    """Bounds of the queue: orders and cancels per batch (a group fits into one), waiting ones that justify another batch in
    flight, waiting ones (of each kind), seconds a batch may take."""

    batch_max: int = 256
    worth_another: int = 16
    waiting_max: int = 2_000
    batch_deadline_s: float = 1.8


class _Waiting(NamedTuple):
    request: SubmissionRequest
    answer: asyncio.Future[Any]
    size: int


class _Line:
    """Requests that wait, in their order; `size` counts the orders and cancels in them."""

    def __init__(self) -> None:
        self._requests: deque[_Waiting] = deque()
        self.size = 0

    def append(self, waiting: _Waiting) -> None:
        """Put a request at the end."""
        self._requests.append(waiting)
        self.size += waiting.size

    def take(self, room: int, busy: Set[int]) -> list[_Waiting]:
        """Take the first requests, up to the first that does not fit; those of busy users keep their places."""
        line, taken, passed = self._requests, [], []
        while line and line[0].size <= room:
            waiting = line.popleft()
            if waiting.request.user in busy:
                passed.append(waiting)
            else:
                taken.append(waiting)
                room -= waiting.size
                self.size -= waiting.size
        line.extendleft(reversed(passed))
        return taken

    def take_all(self) -> list[_Waiting]:
        """Take every request."""
        taken = list(self._requests)
        self._requests.clear()
        self.size = 0
        return taken


@dataclass
class _Flight:
    """A batch in flight: its submission, its users, when it started, and whether it is past its deadline."""

    batch: list[_Waiting]
    submission: Submits
    users: set[int]
    started_s: float
    is_late: bool = False


class SubmissionQueue:
    """Collects the orders and cancels of all connections and submits them batch by batch."""

    def __init__(
        self,
        submissions: Sequence[Submits],
        now: Callable[[], Timestamp],
        load: Callable[[], Mapping[str, MarketLoad]],
        limits: QueueLimits = QueueLimits(),
    ) -> None:
        self._submissions = list(submissions)
        self._idle = deque(submissions)
        self._busy: set[int] = set()
        self._now = now
        self._load = load
        self._limits = limits
        self._cancels, self._orders = _Line(), _Line()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[Sequence[SubmissionOutcome]]] = set()
        self._is_closing = False
        self._late = 0
        self._failure = ""
        self._failed_at_s = 0.0
        self.on_stored: OnStored = lambda _requests, _outcomes: None
        """Called after each batch, with its requests and their outcomes."""

    @property
    def failure(self) -> str:
        """Why the last batch could not be stored, for ten seconds or until one is stored; else empty."""
        is_recent = self._failure and asyncio.get_running_loop().time() - self._failed_at_s < FAILURE_COUNTS_S
        return self._failure if is_recent else ""

    @property
    def is_stuck(self) -> bool:
        """Whether a batch is past its deadline: then every request is refused immediately until it returns."""
        return self._late > 0

    @property
    def waiting(self) -> int:
        """The number of orders and cancels that wait for a batch."""
        return self._cancels.size + self._orders.size

    def start(self) -> None:
        """Start submitting."""
        self._task = asyncio.create_task(self._work(), name="submission queue")

    async def stop(self) -> None:
        """Submit the waiting requests, then stop."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        for submission in self._submissions:
            await submission.close()

    @overload
    def submit(self, request: OneRequest) -> asyncio.Future[OneOutcome]: ...
    @overload
    def submit(self, request: SeveralRequest) -> asyncio.Future[Answers | Refused]: ...
    @overload
    def submit(self, request: SubmitCountdown) -> asyncio.Future[CountdownsSet | Refused]: ...

    def submit(self, request: SubmissionRequest) -> asyncio.Future[Any]:
        """Queue a request; the future's result is its outcome. It is submitted even if nothing awaits the future.

        A group is refused whole where it cannot be queued, or its batch cannot be stored.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        line = self._cancels if isinstance(request, _CANCELLING) else self._orders
        size = len(request.orders) if isinstance(request, SubmitGroup) else 1
        if self.is_stuck or self._is_closing:
            answer.set_result(unavailable(outcome_is_unknown=False))
        elif line.size + size > self._limits.waiting_max:
            answer.set_result(Refused(ErrorCode.OVERLOADED, "too many requests are waiting; try again shortly"))
        else:
            line.append(_Waiting(request, answer, size))
            self._wake.set()
        return answer

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._is_worth_a_batch() and (batch := self._next_batch()):
                self._send(batch)
            if self._is_closing and not self._in_flight and not self.waiting:
                return

    def _is_worth_a_batch(self) -> bool:
        if not self._idle or self.is_stuck:
            return False
        return self.waiting >= (self._limits.worth_another if self._in_flight else 1)

    def _next_batch(self) -> list[_Waiting]:
        """The first waiting requests, cancels first; those of accounts in flight keep their places."""
        cancels = self._cancels.take(self._limits.batch_max, self._busy)
        room = self._limits.batch_max - sum(waiting.size for waiting in cancels)
        return cancels + self._orders.take(room, self._busy)

    def _send(self, batch: list[_Waiting]) -> None:
        loop, submission = asyncio.get_running_loop(), self._idle.popleft()
        flight = _Flight(batch, submission, {waiting.request.user for waiting in batch}, loop.time())
        self._busy |= flight.users
        running = asyncio.create_task(submission.run([waiting.request for waiting in batch], self._now(), self._load()))
        self._in_flight.add(running)
        deadline = loop.call_later(self._limits.batch_deadline_s, self._give_up_waiting_for, flight)
        running.add_done_callback(partial(self._land, flight, deadline))

    def _give_up_waiting_for(self, flight: _Flight) -> None:
        flight.is_late = True
        self._late += 1
        _answer_all(flight.batch, unavailable(outcome_is_unknown=True))
        self._refuse_all_waiting()

    def _land(
        self, flight: _Flight, deadline: asyncio.TimerHandle, ran: "asyncio.Task[Sequence[SubmissionOutcome]]"
    ) -> None:
        deadline.cancel()
        self._late -= flight.is_late
        self._in_flight.remove(ran)
        self._busy -= flight.users
        self._idle.appendleft(flight.submission)
        error = ran.exception()
        self._failure = note_outage(error) if isinstance(error, StoreUnavailable) else ""
        self._failed_at_s = asyncio.get_running_loop().time()
        _answer_each(flight.batch, ran)
        if error is None:
            self.on_stored([waiting.request for waiting in flight.batch], ran.result())
        BATCH_SIZE.observe(sum(waiting.size for waiting in flight.batch))
        BATCH_SECONDS.observe(asyncio.get_running_loop().time() - flight.started_s)
        self._wake.set()

    def _refuse_all_waiting(self) -> None:
        for line in (self._cancels, self._orders):
            _answer_all(line.take_all(), unavailable(outcome_is_unknown=False))


def _answer_all(batch: Sequence[_Waiting], outcome: Refused) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_result(outcome)


def _answer_each(batch: list[_Waiting], ran: "asyncio.Task[Sequence[SubmissionOutcome]]") -> None:
    bug = ran.exception()
    if isinstance(bug, StoreUnavailable):
        _answer_all(batch, unavailable(outcome_is_unknown=bug.outcome_is_unknown))
    elif bug is not None:
        log.error("a batch of %d failed", len(batch), exc_info=bug)
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(BatchFailed())
    else:
        for waiting, outcome in zip(batch, ran.result(), strict=True):
            if not waiting.answer.done():  # its client may have disconnected
                waiting.answer.set_result(outcome)


class BatchFailed(Exception):
    """A bug ended the batch of this request; the log has the cause."""
