"""Units of the exchange, and the two doors between decimal strings and integers.

Price is counted in ticks, quantity in lots, money in micros (10^-6 of the quote asset), index prices in nanos
(10^-9 quote), rates in parts per million, funding rates and premiums in 10^-9, times in microseconds since 1970-01-01
UTC. A decimal string from outside is read once, here, into an integer of 10^-18; nothing in the exchange is a float.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Ticks = NewType("Ticks", int)
Lots = NewType("Lots", int)
Micros = NewType("Micros", int)
Nanos = NewType("Nanos", int)
Ppm = NewType("Ppm", int)
RateE9 = NewType("RateE9", int)
Timestamp = NewType("Timestamp", int)

E18 = 10**18
MICRO_E18 = 10**12
NANO_E18 = 10**9
PPM = 1_000_000
MILLISECOND_US = 1_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
E9 = 1_000_000_000
AMOUNT_MAX_E18 = 10**12 * E18
"""No price, quantity, notional or wallet is above 10^12 (docs/semantics.md, "Units")."""

DECIMAL_PATTERN = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$"
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_decimal_e18(text: str) -> int | None:
    """Read a decimal string as an integer of 10^-18; None when it does not match the published pattern in full."""
    match = _DECIMAL.fullmatch(text) if text.isascii() else None
    if match is None:
        return None
    whole, fraction = match.groups()
    return int(whole) * E18 + (int(fraction.ljust(18, "0")) if fraction else 0)


def parse_whole_units(text: str, unit_e18: int) -> int | None:
    """Read a decimal string as a whole number of units; None when malformed, too large or off the unit's grid."""
    value = parse_decimal_e18(text)
    if value is None or value > AMOUNT_MAX_E18 or value % unit_e18:
        return None
    return value // unit_e18


def format_e18(value: int) -> str:
    """Write an integer of 10^-18 as a decimal string without trailing zeros."""
    # few values are finer than 10^-9, and integers below 2^63 are divided much faster
    coarse, rest = divmod(value, NANO_E18)
    return _format(value, 18) if rest else _format(coarse, 9)


def _format(value: int, decimals: int) -> str:
    """Write an integer of 10^-decimals as a decimal string without trailing zeros."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, fraction = divmod(value, 10**decimals)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:0{decimals}d}".rstrip("0")


def format_micros(amount: int) -> str:
    """Write micros as a decimal string of the quote asset, without trailing zeros."""
    return _format(amount, 6)


def format_ppm(rate: int) -> str:
    """Write parts per million as a decimal fraction."""
    return format_e18(rate * MICRO_E18)


def format_rate_e9(rate: int) -> str:
    """Write a rate of 10^-9 as a decimal fraction."""
    return format_e18(rate * NANO_E18)


def format_ratio_6(numerator: int, denominator: int) -> str:
    """Write numerator / denominator rounded half to even to 6 decimals, without trailing zeros (views only)."""
    return format_micros(divide_half_even(numerator * PPM, denominator))


def divide_up(numerator: int, denominator: int) -> int:
    """Divide and round towards positive infinity (what an account owes)."""
    return -(-numerator // denominator)


def divide_toward_zero(numerator: int, denominator: int) -> int:
    """Divide by a positive number and round towards zero."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def divide_half_even(numerator: int, denominator: int) -> int:
    """Divide by a positive number and round to the nearest, halves to the even neighbour."""
    quotient, remainder = divmod(numerator, denominator)
    double = 2 * remainder
    return quotient + (double > denominator or (double == denominator and quotient % 2 == 1))


def timestamp_of(moment: datetime) -> Timestamp:
    """Microseconds since 1970 UTC of an aware datetime."""
    return Timestamp((moment - _EPOCH) // timedelta(microseconds=1))


def datetime_of(timestamp: int) -> datetime:
    """The aware UTC datetime of a timestamp."""
    return _EPOCH + timedelta(microseconds=timestamp)


def datetime_or_none(timestamp: int | None) -> datetime | None:
    """As `datetime_of`, where there may be no time."""
    return None if timestamp is None else datetime_of(timestamp)


def timestamp_or_none(moment: datetime | None) -> Timestamp | None:
    """As `timestamp_of`, where there may be no time."""
    return None if moment is None else timestamp_of(moment)


def format_timestamp(timestamp: int) -> str:
    """ISO 8601 UTC with microseconds, as every time in an answer."""
    second, fraction = divmod(timestamp, SECOND_US)
    return f"{_second_text(second)}.{fraction:06d}Z"


@lru_cache(maxsize=256)
def _second_text(second: int) -> str:
    """A whole second since 1970 UTC; many records share one."""
    return datetime_of(second * SECOND_US).isoformat().removesuffix("+00:00")
