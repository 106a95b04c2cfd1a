"""The dead-man's switch and cancel-all in a whole exchange."""

from typing import Any

import aiohttp

from bench.load.generator import Trader, make_trader
from tests.eventually import eventually
from tests.system.conftest import Start
from tests.system.shared.listing import LIKE_BTC, add_market

MARKET = "DEADMAN-PERP"
BID = {"marketId": MARKET, "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "59000"}
STOP = {"marketId": MARKET, "side": "BUY", "type": "STOP_MARKET", "quantity": "0.001", "triggerPrice": "61000"}


async def _ask(session: aiohttp.ClientSession, trader: Trader, method: str, path: str, body: Any = None) -> Any:
    async with session.request(method, path, json=body, headers=trader.headers) as answer:
        assert answer.status in {200, 202}, await answer.text()
        return await answer.json()


async def test_an_account_that_stops_calling_loses_its_orders(any_exchange: Start) -> None:
    """Two bids and a stop end by the timer of a second; the other account's end by its cancel-all, and its batch rests on."""
    exchange = await any_exchange()
    await add_market(exchange, MARKET, LIKE_BTC)
    async with aiohttp.ClientSession(exchange.url) as session:
        absent, present = [await make_trader(session, "10000") for _ in range(2)]

        async def states(trader: Trader) -> list[tuple[str, str | None]]:
            found = await _ask(session, trader, "GET", "/orders")
            return sorted({(order["status"], order["reason"]) for order in found})

        await _ask(session, absent, "POST", "/orders", BID)
        (timer,) = await _ask(session, absent, "POST", "/orders/countdown", {"marketId": MARKET, "countdownMs": 1_000})
        assert timer["marketId"] == MARKET
        for body in (BID, STOP):
            await _ask(session, absent, "POST", "/orders", body)
        await _ask(session, present, "POST", "/orders/batch", {"orders": [BID, STOP, BID]})
        cancelled = await _ask(session, present, "DELETE", f"/orders?marketId={MARKET}")
        assert len({order["commandId"] for order in cancelled["orders"]}) == 1
        batch = await _ask(session, present, "POST", "/orders/batch", {"orders": [BID] * 5})
        numbers = [int(order["orderId"].rpartition("-")[2]) for order in batch["orders"]]
        assert numbers == [*range(numbers[0], numbers[0] + 5)]

        async def is_done() -> bool:
            return (await states(absent), await states(present)) == (
                [("CANCELLED", "DEAD_MAN")],
                [("CANCELLED", "USER"), ("OPEN", None)],
            )

        await eventually(is_done)
    for command in (("audit",), ("verify", "--market", MARKET)):
        code, printed = await exchange.command(*command)
        assert code == 0, printed
