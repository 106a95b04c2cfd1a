"""Group commit in front of the real submission: batches, order of service, bounds."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg
import pytest_asyncio

from api.submission.submission_queue import BatchFailed, QueueLimits, SubmissionQueue
from schemas.orders import OrderType, Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.session.connect import connect_writer
from store.submission import (
    Answers,
    CancelPlaced,
    Placed,
    Submission,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitCancel,
    SubmitGroup,
    SubmitOrder,
)
from tests.api.exchange import Exchange, now
from tests.eventually import eventually

BID = OrderRequest(market_id="BTC-PERP", side=Side.BUY, type=OrderType.LIMIT, quantity="0.001", price="60000")


class Recorded:
    """The real submission; notes what each batch was made of."""

    def __init__(self, dsn: str) -> None:
        self._submission = Submission(lambda: connect_writer(dsn, "api submission"), MarketRegistry())
        self.batches: list[list[str]] = []
        self.users: list[list[int]] = []

    async def run(
        self, batch: Sequence[SubmissionRequest], at: Timestamp, load: Mapping[str, MarketLoad]
    ) -> Sequence[SubmissionOutcome]:
        """Note, and submit."""
        self.batches.append([type(request).__name__ for request in batch])
        self.users.append([request.user for request in batch])
        return await self._submission.run(batch, at, load)

    async def close(self) -> None:
        """Close."""
        await self._submission.close()


@pytest_asyncio.fixture
async def held(exchange: Exchange) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that holds every account until it is rolled back."""
    connection = await asyncpg.connect(exchange.dsn)
    await connection.execute("BEGIN; LOCK TABLE accounts")
    yield connection
    await connection.close()


def _queue(submission: Recorded, **limits: float) -> SubmissionQueue:
    queue = SubmissionQueue([submission], now, dict, QueueLimits(**{"batch_deadline_s": 20, **limits}))  # type: ignore[arg-type]  # ints and floats
    queue.start()
    return queue


async def test_what_waits_for_a_batch_goes_together_and_cancels_first(exchange: Exchange) -> None:
    """One request alone when idle; after a batch in flight all that arrived during it, each with its own answer."""
    alice = await exchange.user()
    resting = (await alice.order()).body["orderId"]
    submission = Recorded(exchange.dsn)
    queue = _queue(submission)
    connection = await asyncpg.connect(exchange.dsn)
    await connection.execute("BEGIN; LOCK TABLE accounts")
    first = queue.submit(SubmitOrder(alice.user, BID))
    await eventually(lambda: submission.batches)
    others = [queue.submit(SubmitOrder(alice.user, BID)) for _ in range(3)]
    cancel = queue.submit(SubmitCancel(alice.user, resting))
    unknown = queue.submit(SubmitCancel(alice.user, "BTC-PERP-999"))
    await connection.execute("ROLLBACK")
    await connection.close()
    assert [type(placed) for placed in await asyncio.gather(first, *others)] == [Placed] * 4
    assert isinstance(await cancel, CancelPlaced)
    assert (await unknown).code is ErrorCode.ORDER_NOT_FOUND  # type: ignore[union-attr]  # a Refused
    assert submission.batches == [["SubmitOrder"], ["SubmitCancel"] * 2 + ["SubmitOrder"] * 3]
    await queue.stop()


async def test_a_batch_is_never_larger_than_its_bound(exchange: Exchange, held: asyncpg.Connection) -> None:
    """What does not fit goes with the next one, in the order it came."""
    submission = Recorded(exchange.dsn)
    queue = _queue(submission, batch_max=4)
    answers = [queue.submit(SubmitOrder(1, BID)) for _ in range(10)]
    await held.execute("ROLLBACK")
    await asyncio.gather(*answers)
    assert [len(batch) for batch in submission.batches] == [4, 4, 2]
    await queue.stop()


async def test_a_full_queue_refuses_orders_at_once_and_still_accepts_cancels(
    exchange: Exchange, held: asyncpg.Connection
) -> None:
    """OVERLOADED beyond the bound; cancels have a line of their own."""
    submission = Recorded(exchange.dsn)
    queue = _queue(submission, waiting_max=5)
    answers = [queue.submit(SubmitOrder(1, BID)) for _ in range(8)]
    assert [answer.result().code for answer in answers if answer.done()] == [ErrorCode.OVERLOADED] * 3  # type: ignore[union-attr]  # Refused
    assert not queue.submit(SubmitCancel(1, "BTC-PERP-2")).done()
    assert queue.waiting == 6
    await held.execute("ROLLBACK")
    await queue.stop()


async def test_a_group_is_never_split_over_batches(exchange: Exchange) -> None:
    """A group of three does not fit after two of four places are taken: it goes whole with the next batch, before later ones."""
    alice, bob = await exchange.user(), await exchange.user()
    submission = Recorded(exchange.dsn)
    queue = _queue(submission, batch_max=4)
    held = await asyncpg.connect(exchange.dsn)
    await held.execute("BEGIN; LOCK TABLE accounts")
    blocker = queue.submit(SubmitOrder(bob.user, BID))
    await eventually(lambda: submission.batches)
    others = [queue.submit(SubmitOrder(bob.user, BID)) for _ in range(2)]
    group = queue.submit(SubmitGroup(alice.user, (BID,) * 3))
    last = queue.submit(SubmitOrder(bob.user, BID))
    assert queue.waiting == 6
    await held.execute("ROLLBACK")
    await held.close()
    await asyncio.gather(blocker, *others, last)
    assert submission.users == [[bob.user], [bob.user] * 2, [alice.user, bob.user]]
    answers = await group
    assert isinstance(answers, Answers)
    assert [each.order_id for each in answers.outcomes if isinstance(each, Placed)] == [
        "BTC-PERP-5",
        "BTC-PERP-6",
        "BTC-PERP-7",
    ]
    await queue.stop()


async def test_a_group_counts_as_its_orders_where_the_queue_is_bounded(
    exchange: Exchange, held: asyncpg.Connection
) -> None:
    """Five may wait: a group of three and an order do, another group of three is refused whole, a single order still waits."""
    queue = _queue(Recorded(exchange.dsn), waiting_max=5)
    first, order = queue.submit(SubmitGroup(1, (BID,) * 3)), queue.submit(SubmitOrder(1, BID))
    refused = queue.submit(SubmitGroup(1, (BID,) * 3)).result()
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.OVERLOADED
    assert not any(waiting.done() for waiting in (first, order, queue.submit(SubmitOrder(1, BID))))
    assert queue.waiting == 5
    await held.execute("ROLLBACK")
    await queue.stop()


async def test_a_stopped_queue_has_submitted_what_waited(exchange: Exchange) -> None:
    """Graceful: what was accepted is answered; what comes later is refused, and nothing of it stored."""
    alice = await exchange.user()
    queue = _queue(Recorded(exchange.dsn))
    answers = [queue.submit(SubmitOrder(alice.user, BID)) for _ in range(20)]
    await queue.stop()
    assert all(isinstance(answer.result(), Placed) for answer in answers)
    late = queue.submit(SubmitOrder(alice.user, BID)).result()
    assert isinstance(late, Refused)
    assert late.code is ErrorCode.UNAVAILABLE
    assert await exchange.value("SELECT count(*) FROM orders") == 20


async def test_a_client_that_left_breaks_no_batch(exchange: Exchange) -> None:
    """The answer of a cancelled request is dropped; its neighbours get theirs."""
    alice = await exchange.user()
    queue = _queue(Recorded(exchange.dsn))
    gone, there = (queue.submit(SubmitOrder(alice.user, BID)) for _ in range(2))
    gone.cancel()
    assert isinstance(await there, Placed)
    await queue.stop()


async def test_a_bug_fails_the_batch_it_is_in_and_not_the_queue(exchange: Exchange) -> None:
    """Each request of that batch fails; the next batch runs (the submission raises above 256 requests)."""
    alice = await exchange.user()
    queue = _queue(Recorded(exchange.dsn), batch_max=300)
    answers = [queue.submit(SubmitOrder(alice.user, BID)) for _ in range(257)]
    failures = await asyncio.gather(*answers, return_exceptions=True)
    assert {type(failure) for failure in failures} == {BatchFailed}
    assert isinstance(await queue.submit(SubmitOrder(alice.user, BID)), Placed)
    await queue.stop()


async def test_many_that_wait_go_past_an_account_that_is_held_up(exchange: Exchange) -> None:
    """A second batch of other accounts is in flight with the first; the account's own next order stays after it."""
    alice, bob = await exchange.user(), await exchange.user()
    queue = SubmissionQueue(
        [Recorded(exchange.dsn), Recorded(exchange.dsn)], now, dict, QueueLimits(worth_another=3, batch_deadline_s=20)
    )
    queue.start()
    connection = await asyncpg.connect(exchange.dsn)
    await connection.execute("BEGIN")
    await connection.execute("SELECT 1 FROM accounts WHERE user_id = $1 FOR UPDATE", alice.user)
    first = queue.submit(SubmitOrder(alice.user, BID))
    await asyncio.sleep(0)
    following = queue.submit(SubmitOrder(alice.user, BID))
    others = await asyncio.gather(*(queue.submit(SubmitOrder(bob.user, BID)) for _ in range(3)))
    assert all(isinstance(other, Placed) for other in others)
    assert not first.done()
    assert not following.done()
    await connection.execute("ROLLBACK")
    await connection.close()
    numbers = [
        int(each.order_id.rpartition("-")[2])
        for each in (*others, await first, await following)
        if isinstance(each, Placed)
    ]
    assert numbers == [*range(numbers[0], numbers[0] + 5)]
    await queue.stop()
