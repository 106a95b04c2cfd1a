"""A trader of the demo: turns what the flow draws into orders, and never holds more than POSITION_MAX in a market."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from app.demo.client import Client
from app.demo.flow import Intent
from app.demo.terms import Terms, signed_lots
from schemas.units import SECOND_US, Timestamp, format_timestamp

POSITION_MAX = Decimal(15_000)
MOOD = 0.4
"""What a burst adds to the wish to buy, or takes from it."""
WAITS_WITHIN_STEPS = 2
"""An order that waits does so at most this far from the mark."""


class Trader:
    """One user, in all markets. The larger a position, the likelier the next order reduces it."""

    def __init__(self, client: Client, now: Callable[[], Timestamp]) -> None:
        self._client = client
        self._now = now

    async def act(self, intent: Intent, terms: Terms) -> None:
        """Take or wait with one order. One that waits expires by itself, so none are left when the demo ends."""
        held = signed_lots(await self._client.get("/positions"), terms)
        lots = terms.lots_of(Decimal(intent.notional))
        sign = _sign(intent, terms, held, lots)
        order = {
            "marketId": terms.market,
            "side": "BUY" if sign > 0 else "SELL",
            "quantity": terms.quantity_text(lots),
        }
        how = {"type": "MARKET"} if intent.takes else self._waiting(intent, terms, sign)
        await self._client.post("/orders", order | how)

    def _waiting(self, intent: Intent, terms: Terms, sign: int) -> dict[str, Any]:
        distance = Decimal(intent.distance) * WAITS_WITHIN_STEPS * terms.step
        return {
            "type": "LIMIT",
            "postOnly": True,
            "price": terms.price_text(max(1, round(terms.mark_ticks - sign * distance))),
            "timeInForce": "GTD",
            "expiresAt": format_timestamp(Timestamp(self._now() + intent.wait_s * SECOND_US)),
        }


def _sign(intent: Intent, terms: Terms, held: int, lots: int) -> int:
    """1 to buy, -1 to sell: as the trader leans, unless the position could become too large."""
    share = float(terms.notional_of(held) / POSITION_MAX)
    sign = 1 if intent.lean < 0.5 - 0.5 * share + MOOD * intent.mood else -1
    return -sign if terms.notional_of(sign * held + lots) > POSITION_MAX else sign
