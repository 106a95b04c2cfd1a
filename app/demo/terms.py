"""What the demo must know of a market to trade in it, from `GET /markets`."""

from decimal import ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

STEP = Decimal("0.0002")
"""About how far apart the levels of the market maker are, of the reference price."""


class Terms(NamedTuple):
    """A market as it is now. Prices are counted in ticks, quantities in lots."""

    market: str
    tick: Decimal
    lot: Decimal
    mark: Decimal
    step: int
    """Ticks between two levels; the same as long as the market is listed."""
    is_active: bool

    @property
    def mark_ticks(self) -> Decimal:
        """The mark in ticks, which it is a whole number of only by chance."""
        return self.mark / self.tick

    def lots_of(self, notional: Decimal) -> int:
        """The lots that cost about this much at the mark; at least one."""
        return max(1, int((notional / self.mark / self.lot).to_integral_value(ROUND_FLOOR)))

    def notional_of(self, lots: int) -> Decimal:
        """The value of lots at the mark, with their sign."""
        return lots * self.lot * self.mark

    def price_text(self, ticks: int) -> str:
        """A price as a request has it."""
        return f"{ticks * self.tick:f}"

    def quantity_text(self, lots: int) -> str:
        """A quantity as a request has it."""
        return f"{lots * self.lot:f}"

    def price_ticks(self, text: str) -> int:
        """A price of an answer, which is on the grid."""
        return int(Decimal(text) / self.tick)

    def lots(self, text: str) -> int:
        """A quantity of an answer, which is on the grid."""
        return int(Decimal(text) / self.lot)


def terms_of(view: dict[str, Any]) -> Terms:
    """The terms of a market of `GET /markets`."""
    tick = Decimal(view["tickSize"])
    step = int(Decimal(view["referencePrice"]) * STEP / tick)
    return Terms(
        view["id"], tick, Decimal(view["lotSize"]), Decimal(view["markPrice"]), max(1, step), view["status"] == "ACTIVE"
    )


def signed_lots(positions: list[dict[str, Any]], terms: Terms) -> int:
    """The position in this market, of the answer of `GET /positions`; a short one is negative."""
    for position in positions:
        if position["marketId"] == terms.market:
            lots = terms.lots(position["quantity"])
            return lots if position["side"] == "LONG" else -lots
    return 0
