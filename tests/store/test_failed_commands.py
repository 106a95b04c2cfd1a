"""A command that broke the engine, in the tables: the order ends REJECTED, its hold is released, a cancel may be repeated."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exchange.engine.log.journal import fail_command
from schemas.commands import CancelOrder, UserCommand
from schemas.ids import order_key
from schemas.orders import Side
from store.audit.audit import audit
from store.projection import ProjectionBroken
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC = "BTC-PERP"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A running exchange whose books must balance in the end."""
    opened = await open_exchange(database)
    yield opened
    assert await audit(opened.session) == []
    await opened.close()


async def fail(exchange: Exchange, seq: int, command: UserCommand) -> None:
    """Match what comes before the command, and answer it with its failure."""
    market = exchange.markets[BTC]
    assert seq == market.command_seq + 1
    exchange.written[BTC] += fail_command(market, seq, command)
    await exchange.projections[BTC].apply(exchange.records(BTC, market.event_seq))


async def order(exchange: Exchange, seq: int) -> tuple[object, ...]:
    """Status, reason, liveness and whether a cancel is under way."""
    key = order_key(exchange.registry.by_name[BTC].market_id, seq)
    statement = "SELECT status, reason, is_live, cancel_requested_at IS NOT NULL FROM orders WHERE order_id = $1"
    row = await exchange.session.fetchrow(statement, key)
    assert row is not None
    return tuple(row)


async def test_the_order_of_a_failed_command_is_rejected_and_holds_nothing(exchange: Exchange) -> None:
    """PENDING becomes REJECTED INTERNAL, and its margin sums go with it."""
    user = await exchange.user("a@x.io")
    await exchange.settle()
    command = an_order(user, Side.BUY, 2, 600_000)
    seq = await exchange.submit(BTC, command)
    await fail(exchange, seq, command)
    assert await order(exchange, seq) == ("REJECTED", "INTERNAL", False, False)
    sums = await exchange.session.fetchrow("SELECT buy_lots, buy_notional, open_fees, live_orders FROM positions")
    assert tuple(sums or ()) == (0, 0, 0, 0)
    failed = await exchange.session.fetchrow("SELECT command_seq, user_id, order_id & 1023 FROM failed_commands")
    assert tuple(failed or ()) == (seq, user, seq)


async def test_an_order_whose_cancel_failed_may_be_cancelled_again(exchange: Exchange) -> None:
    """The order rests as before, and no cancel is under way any more."""
    user = await exchange.user("a@x.io")
    resting = await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000))
    await exchange.settle()
    cancel = CancelOrder(NOON, user, resting)
    seq = await exchange.submit(BTC, cancel)
    assert await order(exchange, resting) == ("OPEN", None, True, True)
    await fail(exchange, seq, cancel)
    assert await order(exchange, resting) == ("OPEN", None, True, False)


async def test_a_failed_cancel_of_an_order_that_has_ended_changes_nothing(exchange: Exchange) -> None:
    """The verdict is kept, the order stays as it ended."""
    user = await exchange.user("a@x.io")
    resting = await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000))
    await exchange.submit(BTC, CancelOrder(NOON, user, resting))
    await exchange.settle()
    cancel = CancelOrder(NOON, user, resting)
    await fail(exchange, await exchange.submit(BTC, cancel), cancel)
    assert (await order(exchange, resting))[:3] == ("CANCELLED", "USER", False)
    assert await exchange.session.fetchval("SELECT count(*) FROM failed_commands") == 1


async def test_the_failure_of_an_order_that_the_tables_lack_stops_the_projection(exchange: Exchange) -> None:
    """An event that cannot be applied is never skipped."""
    user = await exchange.user("a@x.io")
    await exchange.settle()
    before = await exchange.session.fetchval("SELECT sum(event_seq) FROM progress")
    with pytest.raises(ProjectionBroken):
        await fail(exchange, 2, an_order(user, Side.BUY, 2, 600_000))
    assert await exchange.session.fetchval("SELECT sum(event_seq) FROM progress") == before
