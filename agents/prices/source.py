"""The interface of a price source: a plug-in that watches one market's price somewhere."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from schemas.market import INDEX_MAX
from schemas.units import NANO_E18, Nanos, Timestamp, parse_whole_units


class Observation(NamedTuple):
    """A price (nanos) and when it was observed."""

    observed_at: Timestamp
    price: Nanos


class Source(Protocol):
    """One source of one market. It opens its own connections and waits through its own outages."""

    @property
    def name(self) -> str:
        """Its name in the market's list of sources."""

    @property
    def market(self) -> str:
        """The market whose index it is part of."""

    def prices(self) -> AsyncIterator[Observation]:
        """Every price from now on, as it is observed; ends when there will be no more."""


def parse_price(text: str) -> Nanos | None:
    """A decimal string as a price; None unless it is above 0, at most 10^9, and has at most 9 decimals."""
    price = parse_whole_units(text, NANO_E18)
    return Nanos(price) if price is not None and 0 < price <= INDEX_MAX else None
