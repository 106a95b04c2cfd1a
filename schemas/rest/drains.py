"""Draining markets."""

from typing import Annotated

from msgspec import Meta

from schemas.rest.bodies import Request, View
from schemas.rest.operating.acts import Reason


class DrainRequest(Request, frozen=True):
    """The market to drain; all markets when none is named."""

    market_id: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    reason: Reason | None = None


class DrainedMarket(View, frozen=True):
    """The position of a market when its barrier passed the projection."""

    market_id: str
    command_sequence: int
    event_sequence: int
    event_hash: str


class Drained(View, frozen=True):
    """Everything accepted before the call is matched and persisted; `processed` commands were persisted meanwhile.

    `skipped` are the markets left out: the exchange itself has halted them, and nothing goes through their logs until they
    are resumed.
    """

    processed: int
    markets: list[DrainedMarket]
    skipped: list[str]
