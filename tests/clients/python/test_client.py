"""The Python client on a real API: an order is placed and read, refusals and outages are what they say."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from api.access.budgets import Budget, Rate
from perpetua_client import AmendRequest, Client, LegRequest, OrderRequest, OutcomeUnknown, Refusal, Signer, Unavailable
from perpetua_client.wire import encoded
from tests.api.exchange import Exchange
from tests.api.signing import signer_of
from tests.clients.python.deaf_proxy import swallowing_proxy


def bid(**terms: object) -> OrderRequest:
    """A bid for 0.1 BTC at 60,000, with these terms changed."""
    usual = {
        "market_id": "BTC-PERP",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": Decimal("0.1"),
        "price": Decimal(60_000),
    }
    return OrderRequest(**(usual | terms))  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def client(exchange: Exchange) -> AsyncIterator[Client]:
    """A client with money that is patient for a second."""
    async with Client(exchange.anonymous().url, (await exchange.user("100000")).token, patience_s=1) as client:
        yield client


async def test_an_order_is_placed_and_its_fill_is_read(exchange: Exchange, client: Client) -> None:
    """Decimals in, decimals out; a read after the command shows its effect."""
    ask = await (await exchange.user("100000")).order(side="SELL")
    assert ask.status == 202
    placed = await client.place(bid())
    assert (placed.status, placed.is_replay) == ("PENDING", False)
    await exchange.run_engine()
    order = await client.order(placed.order_id, after=placed.command_id)
    assert (order.status, order.filled_quantity, order.average_price) == ("FILLED", Decimal("0.1"), Decimal(60_000))
    [fill] = [fill async for fill in client.fills(order_id=placed.order_id)]
    assert (fill.price * fill.quantity, fill.liquidity_role) == (fill.notional, "TAKER")
    [position] = await client.positions()
    assert (position.side, position.quantity) == ("LONG", Decimal("0.1"))
    [balance] = await client.balances()
    assert balance.total == Decimal(100_000) - fill.fee


async def test_an_order_of_the_same_client_id_is_placed_once(exchange: Exchange, client: Client) -> None:
    """A repetition finds the first; another order under the same id is refused."""
    first = await client.place(bid(client_order_id="mine"))
    again = await client.place(bid(client_order_id="mine"))
    assert (again.order_id, again.is_replay) == (first.order_id, True)
    with pytest.raises(Refusal) as refused:
        await client.place(bid(client_order_id="mine", price=Decimal(59_000)))
    assert (refused.value.status, refused.value.code) == (409, "DUPLICATE_CLIENT_ORDER_ID")
    found = await client.order_by_client_id("mine")
    assert found is not None
    assert found.order_id == first.order_id
    assert await client.order_by_client_id("other") is None
    assert await exchange.value("SELECT count(*) FROM orders") == 1


async def test_orders_are_amended_and_cancelled(exchange: Exchange, client: Client) -> None:
    """Also by clientOrderId, and all at once; what has ended is ORDER_NOT_OPEN."""
    placed = [await client.place(bid(client_order_id=f"o{number}")) for number in range(4)]
    await exchange.run_engine()
    assert (await client.amend(placed[0].order_id, AmendRequest(price=Decimal(59_000)))).status == "PENDING_AMEND"
    assert (await client.cancel(placed[1].order_id)).order_id == placed[1].order_id
    assert (await client.cancel_by_client_id("o2")).order_id == placed[2].order_id
    await exchange.run_engine()
    assert len((await client.cancel_all("BTC-PERP")).orders) == 2
    await exchange.run_engine()
    assert [order.status async for order in client.orders(market_id="BTC-PERP")] == ["CANCELLED"] * 4
    assert [order.price async for order in client.orders(order="asc", limit=1)][:1] == [Decimal(59_000)]
    with pytest.raises(Refusal, match="ORDER_NOT_OPEN"):
        await client.cancel(placed[1].order_id)


async def test_a_signer_does_what_its_secret_would(exchange: Exchange) -> None:
    """Reads with a query, orders, a withdrawal with its key, many at once; the secret is not sent."""
    signer = await signer_of(await exchange.user("100000"))
    async with Client(signer.client.url, Signer(signer.key_id, signer.secret)) as client:
        await asyncio.gather(*(client.place(bid(quantity=Decimal("0.001"))) for _ in range(20)))
        assert len([order async for order in client.orders(market_id="BTC-PERP", limit=7)]) == 20
        assert await client.order_by_client_id("no:/such") is None
        assert (await client.withdraw(Decimal(1), key="w")).total == Decimal(99_999)


async def test_every_page_of_a_list_is_read(client: Client) -> None:
    """Each entry once, in order."""
    for number in range(7):
        await client.place(bid(client_order_id=str(number), quantity=Decimal("0.001")))
    names = [order.client_order_id async for order in client.orders(limit=3, order="asc")]
    assert names == [str(number) for number in range(7)]


async def test_the_account_is_set(client: Client) -> None:
    """Leverage, the countdown, an order with legs, a withdrawal once per key."""
    assert (await client.set_leverage("BTC-PERP", 7)).leverage == 7
    assert [each.market_id for each in await client.countdown(5_000, "BTC-PERP")] == ["BTC-PERP"]
    legs = {
        "take_profit": LegRequest(trigger_price=Decimal(70_000)),
        "stop_loss": LegRequest(trigger_price=Decimal(50_000)),
    }
    placed = await client.place(bid(**legs))
    assert placed.take_profit_order_id
    assert placed.stop_loss_order_id
    for _ in range(2):
        assert (await client.withdraw(Decimal("10.5"), key="once")).total == Decimal("99989.5")


async def test_without_an_answer_the_client_says_what_it_knows(exchange: Exchange) -> None:
    """Nothing listens: Unavailable. It took the order and no answer came: OutcomeUnknown with the id, which settles it later."""
    user = await exchange.user()
    async with Client("http://127.0.0.1:1", user.token, patience_s=0.3) as nowhere:
        with pytest.raises(Unavailable):
            await nowhere.place(bid())
        with pytest.raises(Unavailable):
            await nowhere.balances()
    async with (
        swallowing_proxy(exchange.port, swallowed=1_000) as url,
        Client(url, user.token, timeout_s=0.3, patience_s=0.5) as deaf,
    ):
        with pytest.raises(OutcomeUnknown) as unknown:
            await deaf.place(bid(client_order_id="lost"))
    assert unknown.value.reference == "lost"
    async with Client(user.url, user.token) as client:
        found = await client.order_by_client_id("lost")
        assert found is not None
        assert (await client.place(bid(client_order_id="lost"))).order_id == found.order_id


async def test_a_refusal_that_the_first_try_has_caused_is_no_refusal(exchange: Exchange) -> None:
    """The answer to the first try is lost; the order is there, whatever the repetition would be answered."""
    user = await exchange.user()
    async with swallowing_proxy(exchange.port, swallowed=1) as url, Client(url, user.token, timeout_s=0.5) as client:
        placed = await client.place(bid(client_order_id="lost"))
        assert placed.is_replay
        await exchange.run_engine()
        assert (await client.order(placed.order_id)).status == "OPEN"
    assert await exchange.value("SELECT count(*) FROM orders") == 1


async def test_a_client_waits_when_its_budget_is_used_up(database: str) -> None:
    """The reported limit is kept: no call of many is refused, though more are made than the budget allows at once."""
    exchange = await Exchange(database).start(rates={Budget.ORDERS: Rate(5, 1)})
    async with Client(exchange.anonymous().url, (await exchange.user("100000")).token) as client:
        for number in range(12):
            await client.place(bid(client_order_id=str(number), quantity=Decimal("0.001")))
    assert await exchange.value("SELECT count(*) FROM orders") == 12
    await exchange.stop()


def test_numbers_that_are_not_exact_never_leave() -> None:
    """A float is refused; a decimal is sent with all its digits and without an exponent."""
    assert (
        encoded({"quantity": Decimal("1E-8"), "price": Decimal("1E+3")}) == b'{"quantity":"0.00000001","price":"1000"}'
    )
    for wrong in (0.1, Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(ValueError, match=r"is a float|is not a number"):
            encoded({"quantity": wrong})
