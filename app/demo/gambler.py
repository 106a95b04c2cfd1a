"""A gambler for the demo: long one market at maximum leverage, through the public REST API, until liquidated.

The account holds only a small stake: a fall of five percent liquidates it, and it is topped up again.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from app.demo.client import Client
from app.demo.users import usdc

LEVERAGE = 20
STAKE = Decimal(2_500)
STAKE_MIN = Decimal(2_000)
STAKE_MAX = Decimal(2_600)
MARGIN_SHARE = Decimal("0.0535")  # 1/20, the bid above the mark, and the fee
BID_ABOVE_MARK = Decimal("0.002")
TAKE_PROFIT_AT = Decimal("1.01")


class Gambler:
    """Reopens its position whenever it has none, and takes small profits, so that it is always close to liquidation."""

    def __init__(self, client: Client, market: str) -> None:
        self._client = client
        self._market = market

    async def play(self) -> None:
        """One step, when the previous one has taken effect."""
        positions = await self._client.get("/positions")
        held = next((position for position in positions if position["marketId"] == self._market), None)
        if held is None:
            await self._open()
        elif Decimal(held["markPrice"]) > Decimal(held["entryPrice"]) * TAKE_PROFIT_AT:
            await self._close(held)

    async def _open(self) -> None:
        """Bring the stake to its size, or spend it on a limit order just above the mark."""
        [balance] = [one for one in await self._client.get("/balances") if one["asset"] == "USDC"]
        free, total = Decimal(balance["available"]), Decimal(balance["total"])
        if total < STAKE_MIN:
            await self._client.post("/deposits", usdc(STAKE - total))
        elif free > STAKE_MAX:
            await self._client.post("/withdrawals", usdc(free - STAKE))
        else:
            market = await self._client.get(f"/markets/{self._market}")
            await self._client.post("/orders", _bid(market, min(free, STAKE)))

    async def _close(self, held: dict[str, Any]) -> None:
        body = {"marketId": self._market, "side": "SELL", "type": "MARKET", "quantity": held["quantity"]}
        await self._client.post("/orders", body | {"reduceOnly": True})


def _bid(market: dict[str, Any], stake: Decimal) -> dict[str, Any]:
    mark, tick, lot = (Decimal(market[name]) for name in ("markPrice", "tickSize", "lotSize"))
    price = (mark * (1 + BID_ABOVE_MARK) / tick).to_integral_value(ROUND_CEILING) * tick
    quantity = (stake / MARGIN_SHARE / mark / lot).to_integral_value(ROUND_FLOOR) * lot
    return {
        "marketId": market["id"],
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "price": f"{price:f}",
        "quantity": f"{quantity:f}",
        "leverage": LEVERAGE,
    }
