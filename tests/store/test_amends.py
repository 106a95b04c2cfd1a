"""Amends in the tables: whatever comes between acceptance and verdict, and wherever a projection stops, the sums are exact."""

from collections.abc import AsyncIterator

import pytest_asyncio
from msgspec.structs import replace

from schemas.commands import CancelOrder
from schemas.orders import Side
from store.audit.audit import audit
from store.audit.live_audit import check_accounts
from store.projection import Projection
from tests.store.engine_rows import assert_rows_equal_the_engine
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC = "BTC-PERP"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A running exchange whose books must balance in the end."""
    opened = await open_exchange(database)
    yield opened
    await opened.settle()
    assert await audit(opened.session) == []
    await opened.close()


async def a_busy_minute(exchange: Exchange) -> None:
    """Amends of all kinds with fills, cuts, a cancel and ends around them, accepted but not matched."""
    ann, bob = await exchange.user("a@x.io", "1000000"), await exchange.user("b@x.io", "1000000")
    bid = await exchange.submit(BTC, an_order(ann, Side.BUY, 50, 600_000))
    gone = await exchange.submit(BTC, an_order(ann, Side.BUY, 5, 598_000))
    ask = await exchange.submit(BTC, an_order(bob, Side.SELL, 20, 601_000))
    await exchange.submit(BTC, an_order(bob, Side.SELL, 10, 600_000))
    exits = [
        await exchange.submit(BTC, an_order(ann, Side.SELL, 6, price, reduce_only=True)) for price in (602_000, 603_000)
    ]
    await exchange.settle()
    await exchange.submit(BTC, an_order(bob, Side.SELL, 4, 600_000))
    await exchange.amend(BTC, ann, bid, "0.08", "60100")
    await exchange.amend(BTC, ann, exits[0], "0.02", "60150")
    await exchange.amend(BTC, ann, exits[1], "0.001")
    await exchange.amend(BTC, bob, ask, "0.005")
    await exchange.amend(BTC, ann, gone, None, "59900")
    await exchange.submit(BTC, CancelOrder(NOON, ann, gone))
    await exchange.submit(BTC, an_order(bob, Side.SELL, 30, 599_000))
    await exchange.submit(BTC, an_order(bob, Side.BUY, 9, 602_000))


async def test_the_sums_are_exact_after_every_record_of_amends(exchange: Exchange) -> None:
    """One command a record: after each, the whole audit and the live one find nothing."""
    await a_busy_minute(exchange)
    assert await audit(exchange.session) == []
    before = await exchange.match(BTC)
    for record in exchange.records(BTC, before + 1, sizes=[1] * 20):
        await exchange.projections[BTC].apply([record])
        assert await audit(exchange.session) == []
        assert (await check_accounts(exchange.session, 0))[1] == []
    await assert_rows_equal_the_engine(exchange, BTC)
    verdicts = await exchange.session.fetch("SELECT verdict, count(*) FROM amends GROUP BY 1")
    assert {row[0] for row in verdicts} == {"DONE", "REFUSED"}


async def test_a_projection_may_stop_between_any_two_events(exchange: Exchange) -> None:
    """One event a batch, each by another process; the verdict and what it leads to come apart."""
    await a_busy_minute(exchange)
    before = await exchange.match(BTC)
    for seq in range(before + 1, exchange.markets[BTC].event_seq + 1):
        projection = Projection(exchange.connect, BTC)
        await projection.apply(exchange.records(BTC, seq, seq))
        await projection.close()
        assert await audit(exchange.session) == []
    await assert_rows_equal_the_engine(exchange, BTC)


async def test_an_amend_that_is_refused_late_leaves_the_order_as_it_ended(exchange: Exchange) -> None:
    """Filled, cancelled or expired before the engine reads the amend: the end is persisted first, then the verdict."""
    ann, bob = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    filled = await exchange.submit(BTC, an_order(ann, Side.BUY, 5, 600_000))
    timed = await exchange.submit(
        BTC, replace(an_order(ann, Side.BUY, 5, 590_000), expires_at=NOON + 1, time_in_force="GTD")
    )
    await exchange.settle()
    await exchange.submit(BTC, replace(an_order(bob, Side.SELL, 5, 600_000), at=NOON + 2))
    await exchange.amend(BTC, ann, filled, "0.02", "60200")
    await exchange.amend(BTC, ann, timed, "0.02", "59200")
    before = await exchange.match(BTC)
    for record in exchange.records(BTC, before + 1, sizes=[1] * 5):
        await exchange.projections[BTC].apply([record])
        assert await audit(exchange.session) == []
    rows = await exchange.session.fetch(
        "SELECT status, quantity, price FROM orders WHERE user_id = $1 ORDER BY order_id", ann
    )
    assert [tuple(row) for row in rows] == [("FILLED", 5, 600_000), ("EXPIRED", 5, 590_000)]
    verdicts = await exchange.session.fetch("SELECT verdict, reason FROM amends")
    assert [tuple(row) for row in verdicts] == [("REFUSED", "ENDED")] * 2
