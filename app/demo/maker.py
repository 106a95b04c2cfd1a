"""A market maker for the demo: levels of post-only quotes around the mark, through the public REST API."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from app.demo.client import Client

LEVELS = 4
LEVEL_STEP = Decimal("0.0005")
LEVEL_NOTIONAL = Decimal(25_000)
INVENTORY_MAX = Decimal(2_000_000)
REQUOTE_AT = Decimal("0.0002")
REQUOTE_ROUNDS = 10


class Maker:
    """Quotes one market; new quotes are placed before the old ones are cancelled, so the book is never empty."""

    def __init__(self, client: Client, market: str) -> None:
        self._client = client
        self._market = market
        self._quoted_at = Decimal(0)
        self._rounds = 0

    async def quote(self) -> None:
        """Requote when the mark has moved, and every few rounds, because quotes get filled."""
        market = await self._client.get(f"/markets/{self._market}")
        mark = Decimal(market["markPrice"])
        self._rounds += 1
        if abs(mark - self._quoted_at) < mark * REQUOTE_AT and self._rounds % REQUOTE_ROUNDS:
            return
        old = [order["orderId"] for order in await self._live_orders()]
        inventory = await self._inventory()
        for body in _quotes(market, mark, inventory):
            await self._client.post("/orders", body)
        for order_id in old:
            await self._client.delete(f"/orders/{order_id}")
        self._quoted_at = mark

    async def quoted_sides(self) -> set[str]:
        """The sides on which its orders rest."""
        return {order["side"] for order in await self._live_orders()}

    async def _live_orders(self) -> list[dict[str, Any]]:
        pages = [
            await self._client.get(f"/orders?marketId={self._market}&status={status}&limit=500")
            for status in ("OPEN", "PARTIALLY_FILLED")
        ]
        return [order for page in pages for order in page["data"]]

    async def _inventory(self) -> Decimal:
        """Signed value of the position at mark."""
        for position in await self._client.get("/positions"):
            if position["marketId"] == self._market:
                value = Decimal(position["quantity"]) * Decimal(position["markPrice"])
                return value if position["side"] == "LONG" else -value
        return Decimal(0)


def _quotes(market: dict[str, Any], mark: Decimal, inventory: Decimal) -> list[dict[str, Any]]:
    """The quotes of one round, without the side that would add to a large inventory."""
    sides = [("BUY", -1, ROUND_FLOOR)] * (inventory < INVENTORY_MAX) + [("SELL", 1, ROUND_CEILING)] * (
        inventory > -INVENTORY_MAX
    )
    tick, lot = Decimal(market["tickSize"]), Decimal(market["lotSize"])
    quantity = (LEVEL_NOTIONAL / mark / lot).to_integral_value() * lot
    return [
        {
            "marketId": market["id"],
            "side": side,
            "type": "LIMIT",
            "postOnly": True,
            "price": str((mark * (1 + sign * level * LEVEL_STEP) / tick).to_integral_value(rounding) * tick),
            "quantity": str(quantity),
        }
        for level in range(1, LEVELS + 1)
        for side, sign, rounding in sides
    ]
