"""A command that broke the engine, in the tables: the order ends REJECTED, its hold is released, a cancel may be repeated."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exchange.engine.log.journal import answer_command, fail_command
from schemas.commands import ActivateOrder, CancelOrder, CancelOrders, SetCountdown, UserCommand
from schemas.ids import order_key
from schemas.orders import Side
from schemas.units import Lots, Micros, Ticks
from store.audit.audit import audit
from store.projection import ProjectionBroken
from tests.store.projection_builders import NOON, Exchange, a_stop, an_order, open_exchange

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
    first = market.event_seq + 1
    exchange.written[BTC] += fail_command(market, seq, command)
    await exchange.projections[BTC].apply(exchange.records(BTC, first))


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


async def test_the_orders_of_a_failed_cancel_all_may_be_cancelled_again(exchange: Exchange) -> None:
    """Each of them rests as before, without a cancel under way; the verdict on the command is kept once."""
    user = await exchange.user("a@x.io")
    resting = [await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000 - place)) for place in range(3)]
    await exchange.submit(BTC, CancelOrder(NOON, user, resting[0]))
    await exchange.settle()
    cancel = CancelOrders(NOON, user, tuple(resting))
    seq = await exchange.submit(BTC, cancel)
    assert (await order(exchange, resting[1]))[3] is True
    await fail(exchange, seq, cancel)
    assert (await order(exchange, resting[0]))[:3] == ("CANCELLED", "USER", False)
    for number in resting[1:]:
        assert await order(exchange, number) == ("OPEN", None, True, False)
    assert await exchange.session.fetchval("SELECT count(*) FROM failed_commands") == 1


async def test_a_failed_countdown_leaves_the_one_of_before(exchange: Exchange) -> None:
    """It concerns no order; the verdict is kept, so that it fails again."""
    user = await exchange.user("a@x.io")
    await exchange.submit(BTC, SetCountdown(NOON, user, 5_000))
    await exchange.settle()
    stop = SetCountdown(NOON, user, 0)
    await fail(exchange, await exchange.submit(BTC, stop), stop)
    assert await exchange.session.fetchval("SELECT count(*) FROM countdowns") == 1
    assert await exchange.session.fetchval("SELECT order_id & 1023 FROM failed_commands") == 0


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


async def test_an_order_whose_amend_failed_is_as_it_was(exchange: Exchange) -> None:
    """It counts with its old terms, the amend is REFUSED with INTERNAL, and the next amend is accepted."""
    user = await exchange.user("a@x.io")
    resting = await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000))
    await exchange.settle()
    before = await exchange.session.fetchrow("SELECT * FROM positions")
    amend = await exchange.amend(BTC, user, resting, "0.009", "60100")
    assert await audit(exchange.session) == []
    assert await exchange.session.fetchrow("SELECT * FROM positions") != before
    await fail(exchange, resting + 1, amend)
    assert await exchange.session.fetchrow("SELECT * FROM positions") == before
    assert tuple(await exchange.session.fetchrow("SELECT verdict, reason FROM amends")) == ("REFUSED", "INTERNAL")
    await exchange.amend(BTC, user, resting, "0.009")
    await exchange.settle()
    assert await order(exchange, resting) == ("OPEN", None, True, False)


async def test_the_failure_of_an_amend_keeps_the_cancel_that_came_after_it(exchange: Exchange) -> None:
    """The cancel is still under way, and ends the order."""
    user = await exchange.user("a@x.io")
    resting = await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000))
    await exchange.settle()
    amend = await exchange.amend(BTC, user, resting, "0.009")
    cancel = await exchange.submit(BTC, CancelOrder(NOON, user, resting))
    await exchange.session.execute("UPDATE orders SET cancel_seq = $1", cancel)
    await fail(exchange, resting + 1, amend)
    assert await exchange.session.fetchval("SELECT cancel_seq FROM orders") == cancel
    await exchange.settle()
    assert await order(exchange, resting) == ("CANCELLED", "USER", False, True)


async def test_a_failed_amend_of_an_order_that_has_ended_changes_nothing(exchange: Exchange) -> None:
    """The verdict is kept with the amend, the order stays as it ended."""
    user = await exchange.user("a@x.io")
    resting = await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000))
    await exchange.settle()
    await exchange.submit(BTC, CancelOrder(NOON, user, resting))
    amend = await exchange.amend(BTC, user, resting, "0.009")
    market, first = exchange.markets[BTC], exchange.markets[BTC].event_seq + 1
    cancel = CancelOrder(NOON, user, resting)
    exchange.written[BTC] += answer_command(market, resting + 1, cancel)
    await exchange.projections[BTC].apply(exchange.records(BTC, first))
    assert await audit(exchange.session) == []
    await fail(exchange, resting + 2, amend)
    assert (await order(exchange, resting))[:3] == ("CANCELLED", "USER", False)
    assert await exchange.session.fetchval("SELECT verdict FROM amends") == "REFUSED"


async def test_the_failure_of_an_order_that_the_tables_lack_stops_the_projection(exchange: Exchange) -> None:
    """An event that cannot be applied is never skipped."""
    user = await exchange.user("a@x.io")
    await exchange.settle()
    before = await exchange.session.fetchval("SELECT sum(event_seq) FROM progress")
    with pytest.raises(ProjectionBroken):
        await fail(exchange, 2, an_order(user, Side.BUY, 2, 600_000))
    assert await exchange.session.fetchval("SELECT sum(event_seq) FROM progress") == before


async def test_a_conditional_order_whose_command_failed_is_rejected_and_waits_no_longer(exchange: Exchange) -> None:
    """It leaves the sums of what waits, and so do the orders attached to a parent that failed."""
    user = await exchange.user("a@x.io")
    await exchange.settle()
    stop = a_stop(user, Side.SELL, 500_000, quantity=Lots(3))
    seq = await exchange.submit(BTC, stop)
    await fail(exchange, seq, stop)
    assert await order(exchange, seq) == ("REJECTED", "INTERNAL", False, False)
    leg = await exchange.submit(BTC, a_stop(user, Side.SELL, 500_000, parent_after=1))
    parent = an_order(user, Side.BUY, 2, 600_000)
    number = await exchange.submit(BTC, parent)
    await exchange.name_legs()
    exchange.written[BTC] += answer_command(
        exchange.markets[BTC], leg, a_stop(user, Side.SELL, 500_000, parent_after=1)
    )
    exchange.written[BTC] += fail_command(exchange.markets[BTC], number, parent)
    first = exchange.written[BTC][-3].seq
    await exchange.projections[BTC].apply(exchange.records(BTC, first))
    assert await order(exchange, leg) == ("CANCELLED", "PARENT_ENDED", False, False)
    sums = "SELECT waiting_orders, waiting_sell_lots, closing_sells, live_orders FROM positions"
    assert tuple(await exchange.session.fetchrow(sums) or ()) == (0, 0, 0, 0)


async def test_an_order_whose_activation_failed_ends_and_holds_nothing(exchange: Exchange) -> None:
    """Its margin had been reserved: it ends REJECTED, INTERNAL."""
    user = await exchange.user("a@x.io")
    seq = await exchange.submit(BTC, a_stop(user, Side.BUY, 500_000, quantity=Lots(3), reduce_only=False))
    await exchange.settle()
    assert await order(exchange, seq) == ("TRIGGERED", None, False, False)
    command = ActivateOrder(NOON, user, seq, Ticks(606_000), Ticks(606_000), Micros(5), Micros(7), 20)
    number = await exchange.submit(BTC, command)
    await exchange.session.execute(
        "UPDATE orders SET is_waiting = false, is_live = true, margin_price = 606000, loss_per_lot = 5, fee_per_lot = 7,"
        " activated_command_seq = $1",
        number,
    )
    await exchange.session.execute(
        "UPDATE positions p SET buy_lots = 3, buy_notional = 3 * 606000 * v.lot_value, open_loss = 15, open_fees = 21,"
        " live_orders = 1 FROM market_lot_values v WHERE v.market_id = p.market_id"
    )
    exchange.written[BTC] += fail_command(exchange.markets[BTC], number, command)
    await exchange.projections[BTC].apply(exchange.records(BTC, exchange.markets[BTC].event_seq - 1))
    assert await order(exchange, seq) == ("REJECTED", "INTERNAL", False, False)
    sums = await exchange.session.fetchrow(
        "SELECT buy_lots, buy_notional, open_loss, open_fees, live_orders FROM positions"
    )
    assert tuple(sums or ()) == (0, 0, 0, 0, 0)
