"""The Python client on the socket: books, trades and an account that go on where they were, whatever ends the connection."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from perpetua_client import Client, OrderRequest, Refusal, Signer
from perpetua_client.live.connection import Connection
from perpetua_client.live.subscription import Subscription
from perpetua_client.messages import OrderChangedMessage, OwnFillMessage
from tests.api.exchange import Client as Caller
from tests.api.live.live_exchange import LiveExchange, live_exchange
from tests.api.signing import signer_of
from tests.conftest import Broker
from tests.eventually import eventually


@pytest_asyncio.fixture
async def live(broker: Broker, database: str) -> AsyncIterator[LiveExchange]:
    """An API with a log."""
    async with live_exchange(broker, database) as exchange:
        yield exchange


@pytest_asyncio.fixture
async def alice(live: LiveExchange) -> AsyncIterator[Client]:
    """A client with money."""
    user = await live.user("100000")
    async with Client(user.url, user.token) as client:
        yield client


async def cut(connection: Connection | None) -> None:
    """Lose the network: no close frame is sent."""
    assert connection is not None
    transport = connection._socket._response.connection.transport  # type: ignore[union-attr]
    transport.abort()  # type: ignore[union-attr]


async def upto(messages: Subscription, sequence: int) -> list:  # type: ignore[type-arg]
    """The next messages, up to this sequence."""
    found = [await messages.next()]
    while found[-1].sequence < sequence:
        found.append(await messages.next())
    return found


async def test_a_book_is_followed_and_checked(live: LiveExchange, alice: Client) -> None:
    """As REST shows it at the same sequence, before and after a cut; the first message of each connection has a checksum."""
    maker = await live.user("100000")
    await live.place(maker, price="59990")
    await live.place(maker, price="60010", side="SELL", quantity="0.3")
    await live.step()
    async with alice.socket() as socket, socket.book(live.first, depth=5) as books:
        book = await books.next()
        assert (book.bids, book.asks) == ([(Decimal(59_990), Decimal("0.1"))], [(Decimal(60_010), Decimal("0.3"))])
        await live.place(maker, price="59980")
        await live.step()
        shown = await alice.order_book(live.first)
        while book.sequence != shown.sequence:
            book = await books.next()
        assert book.bids == [(level.price, level.quantity) for level in shown.bids]
        await cut(socket._connection)
        await live.place(maker, price="59990", side="SELL")
        await live.step()
        shown = await alice.order_book(live.first)
        while book.sequence != shown.sequence:
            book = await books.next()
        assert book.bids == [(level.price, level.quantity) for level in shown.bids]
        assert (socket.connections, socket.gaps, book.checked) == (2, 0, 2)


async def test_a_gap_in_a_book_is_seen_and_healed(live: LiveExchange, alice: Client) -> None:
    """A book that has gone wrong on its way is noticed by its sequence, and read again on a new connection."""
    maker = await live.user("100000")
    await live.place(maker, price="59990")
    await live.step()
    async with alice.socket() as socket, socket.book(live.first) as books:
        book = await books.next()
        book.sequence = 1
        await live.place(maker, price="59980")
        await live.step()
        assert len((await books.next()).bids) == 2
        assert (socket.connections, socket.gaps) == (2, 1)


async def test_every_trade_and_fill_comes_once(live: LiveExchange, alice: Client) -> None:
    """Also those that happened while the connection was cut; orders over the socket, their fills on it."""
    maker = await live.user("100000")
    async with (
        alice.socket() as socket,
        socket.trades(live.first, from_=1) as trades,
        socket.fills() as fills,
        socket.orders() as orders,
    ):
        placed = []
        for number in range(6):
            await live.place(maker, side="SELL")
            order = _buy(live, number)
            placed.append(await (socket.place(order) if number % 2 else alice.place(order)))
            await live.step()
            if number in (1, 3):
                await cut(socket._connection)
        assert [each.sequence for each in await upto(trades, 6)] == [1, 2, 3, 4, 5, 6]
        seen = list[str]()
        while len(seen) < len(placed):
            message = await fills.next()
            seen += [str(message.data.order_id)] if isinstance(message, OwnFillMessage) else []
        assert seen == [each.order_id for each in placed]
        filled = set[str]()
        while len(filled) < len(placed):
            message = await orders.next()
            if isinstance(message, OrderChangedMessage) and message.data.status == "FILLED":
                filled.add(message.data.order_id)
        assert filled == {each.order_id for each in placed}


async def test_an_order_whose_result_is_lost_is_placed_once(live: LiveExchange, alice: Client) -> None:
    """The connection ends while orders are on their way; each is there once, under its clientOrderId."""
    async with alice.socket() as socket:
        placing = [asyncio.create_task(socket.place(_buy(live, number))) for number in range(20)]
        await asyncio.sleep(0)
        await cut(socket._connection)
        placed = await asyncio.gather(*placing)
    await live.step()
    found = [order async for order in alice.orders(limit=500)]
    assert sorted(order.order_id for order in found) == sorted(each.order_id for each in placed)
    assert len(found) == 20


async def test_orders_end_with_the_connection(live: LiveExchange, alice: Client) -> None:
    """cancel_on_disconnect holds for each new connection too; without it orders stay."""
    async with alice.socket(cancel_on_disconnect=True) as socket:
        placed = await socket.place(_buy(live, 1))
        await live.step()
        await cut(socket._connection)
        await eventually(lambda: _is_cancelled(live, alice, placed.order_id))
        placed = await socket.place(_buy(live, 2))
        await live.step()
    await eventually(lambda: _is_cancelled(live, alice, placed.order_id))


async def test_a_signature_opens_every_connection(live: LiveExchange) -> None:
    """Each is signed again."""
    signer = await signer_of(await live.user("100000"))
    async with Client(signer.client.url, Signer(signer.key_id, signer.secret)) as client, client.socket() as socket:
        for number in range(3):
            await socket.place(_buy(live, number))
            await cut(socket._connection)
            await eventually(lambda number=number: socket.connections == number + 2)
    assert await live.value("SELECT count(*) FROM orders") == 3


async def test_refused_credentials_end_everything(live: LiveExchange) -> None:
    """A token that is not valid is an error of the caller, no reason to connect again and again."""
    async with Client(live.anonymous().url, "perp_" + "x" * 43) as stranger:
        with pytest.raises(Refusal, match="UNAUTHENTICATED"):
            async with stranger.socket():
                pass
    user = await live.user()
    made = await user.call("POST", "/api-keys", {"label": "bot", "scopes": ["read"]})
    async with Client(user.url, made.body["secret"]) as bot, bot.socket() as socket, socket.fills() as fills:
        with pytest.raises(Refusal, match="FORBIDDEN"):
            await socket.place(_buy(live, 1))
        await fills.next()
        await _revoke(user, made.body["key"]["keyId"])
        with pytest.raises(Refusal, match="UNAUTHENTICATED"):
            await fills.next()


def _buy(live: LiveExchange, number: int) -> OrderRequest:
    terms = {
        "market_id": live.first,
        "quantity": Decimal("0.1"),
        "price": Decimal(60_000),
        "client_order_id": str(number),
    }
    return OrderRequest(side="BUY", type="LIMIT", **terms)  # type: ignore[arg-type]


async def _is_cancelled(live: LiveExchange, client: Client, order_id: str) -> bool:
    await live.step()
    return (await client.order(order_id)).status == "CANCELLED"


async def _revoke(user: Caller, key_id: str) -> None:
    assert (await user.call("DELETE", f"/api-keys/{key_id}")).status == 200
