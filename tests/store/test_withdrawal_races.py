"""Withdrawals concurrent with orders, fills and each other: the same dollar is never used twice."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from exchange.risk.margin import equity, total_requirement, unrealized_pnl
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import Refused
from schemas.rest.orders import OrderRequest
from schemas.rest.transfers import WithdrawalRequest
from store.audit.audit import audit
from store.margin_accounts import read_account
from store.money.transfers import Transferred
from store.money.withdrawals import withdraw
from store.session.connect import connect_writer
from store.submission import Placed, Submission, SubmitOrder
from tests.store.projection_builders import NOON, Exchange, open_exchange

USDC = 10**6
ORDER = OrderRequest("BTC-PERP", Side.BUY, OrderType.LIMIT, "0.1", "60000", TimeInForce.GTC)
LOCKED_BY_ORDER = 303 * USDC
"""0.1 BTC at 60,000: 300 of margin, 3 of fees."""


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange; its books must balance however the race ended."""
    opened = await open_exchange(database)
    yield opened
    assert await audit(opened.session) == []
    await opened.close()


async def free_money(exchange: Exchange, user: int) -> int:
    """What could still be withdrawn, below zero when too much has been."""
    account = await read_account(exchange.session, user)
    assert account is not None
    risks = account.exposures.values()
    profits = sum(max(0, unrealized_pnl(r.market.spec, r.exposure, r.market.mark)) for r in risks)
    return equity(account) - profits - total_requirement(account)


async def take_alone(exchange: Exchange, user: int, amount: str) -> Transferred | Refused:
    """Withdraw on a separate session."""
    session = await asyncpg.connect(exchange.dsn)
    try:
        return await withdraw(session, user, WithdrawalRequest("USDC", amount), None, NOON)
    finally:
        await session.close()


async def order_alone(exchange: Exchange, user: int, order: OrderRequest = ORDER) -> object:
    """Place an order through a separate submission."""
    submission = Submission(lambda: connect_writer(exchange.dsn, "test-submission"), exchange.registry)
    [answer] = await submission.run([SubmitOrder(user, order)], NOON, {})
    await submission.close()
    return answer


async def test_twenty_withdrawals_racing_on_one_balance_take_exactly_what_it_holds(exchange: Exchange) -> None:
    """10,000 covers three times 3,000, whichever come first."""
    user = await exchange.user("a@x.io")
    answers = await asyncio.gather(*(take_alone(exchange, user, "3000") for _ in range(20)))
    assert sum(isinstance(answer, Transferred) for answer in answers) == 3
    assert await free_money(exchange, user) == 1_000 * USDC


async def test_withdrawals_racing_orders_never_use_the_same_dollar_twice(exchange: Exchange) -> None:
    """20 times 600 and 20 orders of 303 want 18,060 of 10,000; who was refused did not fit, and the rest is exact."""
    user = await exchange.user("a@x.io")
    races = [race for _ in range(20) for race in (take_alone(exchange, user, "600"), order_alone(exchange, user))]
    answers = await asyncio.gather(*races)
    withdrawn = sum(isinstance(answer, Transferred) for answer in answers)
    placed = sum(isinstance(answer, Placed) for answer in answers)
    free = await free_money(exchange, user)
    assert free == 10_000 * USDC - withdrawn * 600 * USDC - placed * LOCKED_BY_ORDER >= 0
    assert withdrawn == 20 or free < 600 * USDC
    assert placed == 20 or free < LOCKED_BY_ORDER


async def test_withdrawals_racing_fills_leave_every_position_its_margin(exchange: Exchange) -> None:
    """Two users trade with each other and take out what they can between any two fills: nobody is ever overdrawn."""
    users = [await exchange.user(f"u{number}@x.io", "2000") for number in range(2)]
    asks = OrderRequest("BTC-PERP", Side.SELL, OrderType.LIMIT, "0.1", "60000", TimeInForce.GTC)
    for _ in range(6):
        races = [order_alone(exchange, users[0]), order_alone(exchange, users[1], asks)]
        races += [take_alone(exchange, user, "150") for user in users]
        done = asyncio.gather(*races)
        while not done.done():
            await exchange.settle()
        await done
        await exchange.settle()
        assert min([await free_money(exchange, user) for user in users]) >= 0
    assert await exchange.session.fetchval("SELECT count(*) FROM fills") > 0
    assert await exchange.session.fetchval("SELECT count(*) FROM ledger WHERE type = 'WITHDRAW' AND account > 0") > 2
    refusals = [await take_alone(exchange, user, "2000") for user in users]
    assert all(isinstance(refused, Refused) for refused in refusals)
