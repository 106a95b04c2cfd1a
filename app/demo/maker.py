"""The market maker of the demo: it quotes one market on both sides of the mark, through the public REST API."""

from decimal import Decimal
from typing import Any

from app.demo.client import Client
from app.demo.ladder import Ladder, Quote, Resting
from app.demo.terms import Terms, signed_lots

BATCH_MAX = 20
CANCELS_MAX = 10
"""With more to cancel it cancels all, in one request."""
INVENTORY_MAX = Decimal(2_000_000)
LEAN_AT = Decimal(60_000)
LEAN_STEPS_MAX = 3
"""An inventory of LEAN_AT moves the quotes by a step, up to so many: what others buy gets dearer, and they sell again."""
REFRESH_ROUNDS = 8
"""It looks at its orders when the mark has passed a step, and after so many rounds, because quotes get filled."""


class Maker:
    """Quotes one market, with few requests."""

    def __init__(self, client: Client, ladder: Ladder) -> None:
        self._client = client
        self._ladder = ladder
        self._step = 0
        self._rounds_left = 0

    async def quote(self, terms: Terms) -> None:
        """One round: if there may be something to change, read orders and inventory, and change what is wrong."""
        step = int(terms.mark_ticks / terms.step)
        self._rounds_left -= 1
        if not terms.is_active or (step == self._step and self._rounds_left > 0):
            return
        resting = await self._resting(terms)
        inventory = terms.notional_of(signed_lots(await self._client.get("/positions"), terms))
        await self._change(terms, resting, inventory)
        self._step, self._rounds_left = step, REFRESH_ROUNDS

    async def _resting(self, terms: Terms) -> list[Resting]:
        page = await self._client.get(f"/orders?marketId={terms.market}&status=LIVE&limit=500")
        return [
            Resting(
                order["orderId"],
                order["side"],
                terms.price_ticks(order["price"]),
                terms.lots(order["remainingQuantity"]),
            )
            for order in page["data"]
            if order["cancelRequestedAt"] is None
        ]

    async def _change(self, terms: Terms, resting: list[Resting], inventory: Decimal) -> None:
        """Cancels come first: a quote on the wrong side of the mark would meet the new ones, which only make."""
        middle, sides = _middle(terms, inventory), _sides(inventory)
        cancel, place = self._ladder.changes(terms, middle, resting, sides)
        if len(cancel) > CANCELS_MAX:
            await self._client.delete(f"/orders?marketId={terms.market}")
            place = self._ladder.changes(terms, middle, [], sides).place
        else:
            for order_id in cancel:
                await self._client.delete(f"/orders/{order_id}")
        for first in range(0, len(place), BATCH_MAX):
            orders = [_order(terms, quote) for quote in place[first : first + BATCH_MAX]]
            await self._client.post("/orders/batch", {"orders": orders})


def _middle(terms: Terms, inventory: Decimal) -> Decimal:
    """The mark, moved against the inventory; in ticks."""
    steps = max(Decimal(-LEAN_STEPS_MAX), min(Decimal(LEAN_STEPS_MAX), inventory / LEAN_AT))
    return terms.mark_ticks - steps * terms.step


def _sides(inventory: Decimal) -> list[str]:
    """Both sides, without the one that would add to a large inventory."""
    return ["BUY"] * (inventory < INVENTORY_MAX) + ["SELL"] * (inventory > -INVENTORY_MAX)


def _order(terms: Terms, quote: Quote) -> dict[str, Any]:
    return {
        "marketId": terms.market,
        "side": quote.side,
        "type": "LIMIT",
        "postOnly": True,
        "price": terms.price_text(quote.price),
        "quantity": terms.quantity_text(quote.lots),
    }
