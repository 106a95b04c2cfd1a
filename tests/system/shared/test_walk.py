"""The walk of the README through the public face of a whole exchange."""

from decimal import Decimal
from typing import Any

import aiohttp

from bench.load.generator import Trader, make_trader
from tests.eventually import eventually
from tests.system.conftest import Start
from tests.system.shared.listing import LIKE_BTC, LIKE_ETH, add_market

BTC, ETH = "WALKBTC-PERP", "WALKETH-PERP"
BID = {
    "marketId": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "quantity": "0.5",
    "price": "60000",
    "clientOrderId": "my-first-bid",
    "leverage": 10,
}
HIT = {
    "marketId": BTC,
    "side": "SELL",
    "type": "LIMIT",
    "quantity": "0.3",
    "price": "59000",
    "timeInForce": "IOC",
}


class Client:
    """One user's view of the API."""

    def __init__(self, session: aiohttp.ClientSession, trader: Trader) -> None:
        self._session = session
        self._headers = trader.headers

    async def get(self, path: str) -> Any:
        """The decoded body of a GET that must answer 200."""
        async with self._session.get(path, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def order(self, **fields: Any) -> tuple[int, Any]:
        """Status and body of POST /orders."""
        async with self._session.post("/orders", json=fields, headers=self._headers) as answer:
            return answer.status, await answer.json()

    async def cancel(self, order_id: str) -> tuple[int, Any]:
        """Status and body of DELETE /orders/{id}."""
        async with self._session.delete(f"/orders/{order_id}", headers=self._headers) as answer:
            return answer.status, await answer.json()

    async def wallet(self) -> Decimal:
        """The wallet balance."""
        return Decimal((await self.get("/balances"))[0]["total"])


async def test_the_walk_of_the_readme_holds_to_the_last_micro(any_exchange: Start) -> None:
    """Two users trade at the maker's price; fees, balances, positions, replay and refusals are exact."""
    exchange = await any_exchange()
    await add_market(exchange, BTC, LIKE_BTC)
    await add_market(exchange, ETH, LIKE_ETH)
    async with aiohttp.ClientSession(exchange.url) as session:
        a, b = [Client(session, await make_trader(session, "10000")) for _ in range(2)]
        await _trade(a, b)
        await _cancel_and_repeat(a)
        await _refuse_what_is_too_large(a)
    code, printed = await exchange.command("audit")
    assert code == 0, printed


async def _trade(a: Client, b: Client) -> None:
    status, bid = await a.order(**BID)
    assert (status, bid["status"]) == (202, "PENDING")
    status, _ = await b.order(**HIT)
    assert status == 202
    (sold,) = await eventually(lambda: b.get("/fills"))
    (bought,) = await a.get("/fills")
    assert [Decimal(fill["price"]) for fill in (sold, bought)] == [60_000, 60_000]
    assert [Decimal(fill["fee"]) for fill in (bought, sold)] == [Decimal("3.6"), 9]
    assert [await a.wallet(), await b.wallet()] == [Decimal("9996.4"), 9_991]
    (long,), (short,) = await a.get("/positions"), await b.get("/positions")
    assert [(p["side"], Decimal(p["quantity"])) for p in (long, short)] == [
        ("LONG", Decimal("0.3")),
        ("SHORT", Decimal("0.3")),
    ]
    assert (long["leverage"], short["leverage"]) == (10, 20)


async def _cancel_and_repeat(a: Client) -> None:
    (bid,) = await a.get("/orders")
    assert (bid["status"], Decimal(bid["remainingQuantity"])) == ("PARTIALLY_FILLED", Decimal("0.2"))
    assert await a.cancel(bid["orderId"]) == (202, {"orderId": bid["orderId"], "status": "PENDING_CANCEL"})

    async def ended() -> bool:
        return (await a.get(f"/orders/{bid['orderId']}"))["status"] == "CANCELLED"

    await eventually(ended)
    assert (await a.cancel(bid["orderId"]))[1]["error"]["code"] == "ORDER_NOT_OPEN"
    assert await a.order(**BID) == (200, {"orderId": bid["orderId"], "status": "CANCELLED"})
    status, body = await a.order(**{**BID, "quantity": "0.6"})
    assert (status, body["error"]["code"]) == (409, "DUPLICATE_CLIENT_ORDER_ID")


async def _refuse_what_is_too_large(a: Client) -> None:
    status, _ = await a.order(marketId=ETH, side="BUY", type="LIMIT", quantity="1", price="3000")
    assert status == 202
    status, body = await a.order(marketId=BTC, side="BUY", type="LIMIT", quantity="100", price="60000")
    assert (status, body["error"]["code"]) == (422, "INSUFFICIENT_MARGIN")
    details = body["error"]["details"]
    assert Decimal(details["available"]) == Decimal("9996.4")
    assert Decimal(details["required"]) > 600_000
