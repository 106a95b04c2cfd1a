"""The audit that runs in the background: quiet books, checkpoints that never lose an entry, and what it halts."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from agents.auditor import FIRST_USER, Auditor
from agents.worker.settings import StreamSettings
from schemas.orders import Side, TimeInForce
from schemas.rest.transfers import DepositRequest
from store.audit.audit import audit
from store.audit.live_audit import advance_checkpoint, check_accounts, read_sums
from store.money.deposits import deposit
from store.session.connect import connect_writer
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """Two users with positions in two markets and an order that rests."""
    opened = await open_exchange(database)
    ann, bob = await opened.user("ann@x.io"), await opened.user("bob@x.io")
    for market, price in ((BTC, 600_000), (ETH, 300_000)):
        await opened.submit(market, an_order(ann, Side.BUY, 5, price))
        await opened.submit(market, an_order(bob, Side.SELL, 3, price, time_in_force=TimeInForce.IOC))
    await opened.settle()
    yield opened
    await opened.close()


def auditor(exchange: Exchange) -> Auditor:
    """An auditor that starts at the first page."""
    return Auditor(StreamSettings(exchange.dsn, "nowhere", datadir=Path()))


async def status(exchange: Exchange, market: str) -> str:
    """The operator's status, once everything is through."""
    await exchange.settle()
    return str(await exchange.session.fetchval("SELECT operator_status FROM markets WHERE name = $1", market))


async def test_quiet_books_leave_a_row_with_no_difference(exchange: Exchange) -> None:
    """Every run is kept, and nothing is halted."""
    watch = auditor(exchange)
    for _ in range(3):
        assert await watch.audit(exchange.session, NOON) == []
    rows = await exchange.session.fetch("SELECT difference, findings FROM audit_runs")
    assert [(row["difference"], row["findings"]) for row in rows] == [(0, "[]")] * 3
    assert await status(exchange, BTC) == await status(exchange, ETH) == "ACTIVE"


async def test_the_checkpoint_covers_the_whole_ledger_and_the_sums_stay_the_same(exchange: Exchange) -> None:
    """What is read beyond it shrinks to nothing; what it adds up to does not change."""
    before, _ = await read_sums(exchange.session)
    while await advance_checkpoint(exchange.session) is None:
        pass
    after, wrong = await read_sums(exchange.session)
    assert (after, wrong) == (before, [])
    left = "SELECT count(*) FROM ledger WHERE entry_id > (SELECT entry_id FROM audit_checkpoint)"
    assert await exchange.session.fetchval(left) == 0
    assert before.external == -1_020_000 * 10**6


async def test_the_checkpoint_waits_for_transactions_that_still_write_entries(exchange: Exchange) -> None:
    """An entry that was numbered and is not committed is never passed, however many committed after it."""
    writer = await asyncpg.connect(exchange.dsn)
    transaction = writer.transaction()
    await transaction.start()
    await deposit(writer, 1, DepositRequest("USDC", "7"), None, NOON)
    for _ in range(3):
        await deposit(exchange.session, 2, DepositRequest("USDC", "5"), None, NOON)
        assert await advance_checkpoint(exchange.session) is None
        assert (await read_sums(exchange.session))[1] == []
    await transaction.commit()
    await writer.close()
    while await advance_checkpoint(exchange.session) is None:
        pass
    sums, wrong = await read_sums(exchange.session)
    assert (sums.external, wrong) == (-1_020_022 * 10**6, [])


@pytest.mark.parametrize(
    ("corruption", "halted"),
    [
        ("UPDATE accounts SET wallet = wallet + 1 WHERE user_id = 1", (BTC, ETH)),
        ("UPDATE positions SET lots = lots + 1 WHERE user_id = 1 AND market_id = 2", (ETH,)),
        ("UPDATE positions SET cost = cost - 1 WHERE user_id = 1 AND market_id = 2", (BTC, ETH)),
        ("UPDATE positions SET open_loss = open_loss + 1 WHERE user_id = 1 AND market_id = 1", (BTC,)),
        ("UPDATE ledger SET amount = amount + 1 WHERE account = -2 AND market_id = 2", (BTC, ETH)),
        ("UPDATE ledger SET balance_after = balance_after + 1 WHERE market_id = 1 AND account = 1", (BTC, ETH)),
    ],
)
async def test_what_does_not_balance_halts_its_market_through_the_log(
    exchange: Exchange, corruption: str, halted: tuple[str, ...]
) -> None:
    """One market where one is to blame, all of them where that is unknown."""
    await exchange.session.execute(corruption)
    watch = auditor(exchange)
    await watch.audit(exchange.session, NOON)
    await watch.audit(exchange.session, NOON)
    await watch.audit(exchange.session, NOON)
    assert {market for market in (BTC, ETH) if await status(exchange, market) == "HALTED"} == set(halted)


async def test_accounts_are_never_checked_by_a_plan_for_an_empty_table(database: str) -> None:
    """The first audit of a new exchange plans for empty tables; a later one must not keep that plan."""
    session = await connect_writer(database, "test")
    for _ in range(2):
        await check_accounts(session, FIRST_USER)
    kept = "SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0 AND statement ~ 'FROM (orders|positions|ledger)'"
    assert await session.fetch(kept) == []
    await session.close()


async def test_the_whole_audit_agrees(exchange: Exchange) -> None:
    """What the short one calls quiet is quiet."""
    assert await auditor(exchange).audit(exchange.session, NOON) == []
    assert await audit(exchange.session) == []
