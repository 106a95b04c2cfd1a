"""Formats the values of rows: prices, quantities and times as every answer writes them."""

from datetime import datetime
from functools import lru_cache

import msgspec

from schemas.market import MarketSpec
from schemas.units import (
    MICRO_E18,
    NANO_E18,
    format_e18,
    format_rate_e9,
    format_ratio_6,
    format_timestamp,
    timestamp_of,
)


def storable(name: str) -> str:
    """A name that PostgreSQL can compare: one with NUL or lone surrogates matches nothing, like the empty name."""
    return name if name.isprintable() else ""


@lru_cache(maxsize=1_024)
def spec_of(text: str) -> MarketSpec:
    """The rules of a market from its row; cached by text."""
    return msgspec.json.decode(text, type=MarketSpec)


def price_text(spec: MarketSpec, ticks: int) -> str:
    """A price in ticks as a decimal string."""
    return format_e18(ticks * spec.tick_size_e18)


def index_text(nanos: int) -> str:
    """An index price in nanos as a decimal string."""
    return format_e18(nanos * NANO_E18)


def rate_text_or_none(rate: int | None) -> str | None:
    """A rate of 10^-9 as a decimal fraction, where there may be none."""
    return None if rate is None else format_rate_e9(rate)


def side_text(lots: int) -> str:
    """The side of a position of signed lots."""
    return "LONG" if lots > 0 else "SHORT"


def quantity_text(spec: MarketSpec, lots: int) -> str:
    """A quantity in lots as a decimal string."""
    return format_e18(lots * spec.lot_size_e18)


def average_price_text(spec: MarketSpec, notional: int, lots: int) -> str | None:
    """Notional (micros) divided by quantity (lots), both unsigned, with 6 decimals, half even; None for zero lots."""
    return format_ratio_6(notional * MICRO_E18, lots * spec.lot_size_e18) if lots else None


def time_text(moment: datetime) -> str:
    """A stored time as ISO 8601 UTC with microseconds."""
    return format_timestamp(timestamp_of(moment))


def time_text_or_none(moment: datetime | None) -> str | None:
    """As `time_text`, where there may be no time."""
    return None if moment is None else time_text(moment)
