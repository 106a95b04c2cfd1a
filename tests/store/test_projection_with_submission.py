"""The projection concurrent with all other writers of accounts: no deadlock, no lost update, exact sums."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from schemas.orders import OrderType, Side, TimeInForce
from schemas.rest.orders import OrderRequest
from schemas.rest.transfers import DepositRequest
from store.audit.audit import audit
from store.money.deposits import deposit
from store.session.connect import connect_writer
from store.submission import Placed, Submission, SubmitCancel, SubmitOrder
from tests.store.projection_builders import NOON, Exchange, open_exchange, seeded

PRICES = {"BTC-PERP": 60_000, "ETH-PERP": 3_000}
USERS, ROUNDS, BATCH = 6, 15, 12


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange."""
    opened = await open_exchange(database)
    yield opened
    await opened.close()


async def test_submissions_deposits_and_projections_of_two_markets_run_concurrently(exchange: Exchange) -> None:
    """Same accounts, four writers: everything is persisted, the margin sums are those of the live orders."""
    users = [await exchange.user(f"u{number}@x.io", "100000") for number in range(USERS)]
    writers = [asyncio.create_task(submit_many(exchange, users, seed)) for seed in (1, 2)]
    writers.append(asyncio.create_task(deposit_many(exchange, users)))
    done = asyncio.gather(*writers)
    projecting = [asyncio.create_task(project_until(exchange, market, done)) for market in PRICES]
    await done
    await asyncio.gather(*projecting)
    await exchange.settle()
    assert await audit(exchange.session) == []
    assert await exchange.session.fetchval("SELECT count(*) FROM orders WHERE status = 'PENDING'") == 0
    assert await exchange.session.fetchval("SELECT count(*) FROM fills") > 100


async def submit_many(exchange: Exchange, users: list[int], seed: int) -> None:
    """Batches of orders near the mark and of cancels, through the real submission."""
    chance, placed = seeded(seed), []
    submission = Submission(lambda: connect_writer(exchange.dsn, "test-submission"), exchange.registry)
    for _ in range(ROUNDS):
        batch: list[SubmitOrder | SubmitCancel] = [
            SubmitOrder(
                chance.choice(users), an_order_request(chance.choice(list(PRICES)), chance.randint(-2, 2), side)
            )
            for side in chance.choices(list(Side), k=BATCH)
        ]
        batch += [SubmitCancel(user, order) for user, order in chance.sample(placed, min(3, len(placed)))]
        answers = await submission.run(batch, NOON, {})
        placed += [
            (asked.user, answer.order_id)
            for asked, answer in zip(batch, answers, strict=True)
            if isinstance(answer, Placed)
        ]
    await submission.close()
    assert len(placed) > ROUNDS * BATCH / 2


def an_order_request(market: str, off_mark: int, side: Side) -> OrderRequest:
    """0.01 BTC or ETH at a whole price near the mark."""
    price = str(PRICES[market] + off_mark)
    return OrderRequest(market, side, OrderType.LIMIT, "0.01", price, TimeInForce.GTC)


async def deposit_many(exchange: Exchange, users: list[int]) -> None:
    """Small deposits, one after the other, into the same accounts."""
    session = await connect_writer(exchange.dsn, "test-deposits")
    for number in range(40):
        await deposit(session, users[number % USERS], DepositRequest("USDC", "1"), f"key-{number}", NOON)
    await session.close()


async def project_until(exchange: Exchange, market: str, done: asyncio.Future[object]) -> None:
    """Match and persist new commands until the writers are done; a separate session reads the outbox."""
    other = await open_exchange(exchange.dsn)
    other.markets, other.written = exchange.markets, exchange.written
    while not done.done():
        before = await other.match(market)
        await exchange.projections[market].apply(other.records(market, before + 1))
    await other.close()
