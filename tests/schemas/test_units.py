"""Units and the two doors between decimal strings and integers."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.units import (
    AMOUNT_MAX_E18,
    E18,
    datetime_of,
    datetime_or_none,
    divide_half_even,
    divide_toward_zero,
    divide_up,
    format_e18,
    format_micros,
    format_ppm,
    format_ratio_6,
    format_timestamp,
    parse_decimal_e18,
    parse_whole_units,
    timestamp_of,
    timestamp_or_none,
)

HOSTILE = (
    *("", " ", ".", "-", "+", "0.", ".5", "00", "01", "-1", "+1", "1.", "1.5.", "1,5", "1e3", "1E3", "0x10", "1_000"),
    *(" 1", "1 ", "1\n", "\n1", "1.5\n", "1\x00", "NaN", "nan", "Infinity", "inf", "-0", "٣", "१", "１", "1.٣", "½"),  # noqa: RUF001 - digits that are not ours are the point
    *("1" * 19, "0." + "1" * 19, "9" * 400, "1e1000000", "null", "true", "1/2", "1$", "0b1", "1j"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_does_not_match_the_published_pattern_is_not_read(text: str) -> None:
    """No sign, no exponent, no space, no other digits, no leading zero, nothing too long."""
    assert parse_decimal_e18(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1", E18), ("0.1", E18 // 10), ("60000.10", 60_000 * E18 + E18 // 10), ("0." + "0" * 17 + "1", 1)],
)
def test_a_decimal_is_read_exactly(text: str, value: int) -> None:
    """To the eighteenth decimal, without a float in between."""
    assert parse_decimal_e18(text) == value


@given(st.integers(-AMOUNT_MAX_E18, AMOUNT_MAX_E18))
@settings(deadline=None)
def test_what_is_written_reads_back(value: int) -> None:
    """Writing and reading are inverse; only the sign of an answer is not read."""
    text = format_e18(value)
    assert parse_decimal_e18(text.lstrip("-")) == abs(value)
    assert text.startswith("-") == (value < 0)


def test_whole_units_are_on_the_grid_and_not_above_the_maximum() -> None:
    """A price of 0.15 is on no grid of 0.1; 10^12 is the most there is."""
    tick = E18 // 10
    assert parse_whole_units("0.2", tick) == 2
    assert parse_whole_units("0.15", tick) is None
    assert parse_whole_units("1000000000000", tick) == 10**13
    assert parse_whole_units("1000000000000.1", tick) is None


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "0"), (3_600_000, "3.6"), (-1, "-0.000001"), (10_000_000_000, "10000")]
)
def test_money_is_written_without_trailing_zeros(micros: int, text: str) -> None:
    """Micros become a decimal string of the quote asset."""
    assert format_micros(micros) == text


def test_rates_and_ratios_are_written_as_decimals() -> None:
    """Parts per million as a fraction; views with six decimals, half to even."""
    assert format_ppm(500) == "0.0005"
    assert format_ratio_6(1, 3) == "0.333333"
    assert format_ratio_6(-2, 3) == "-0.666667"
    assert (format_ratio_6(5, 10**7), format_ratio_6(15, 10**7)) == ("0", "0.000002")


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
@settings(deadline=None)
def test_every_division_rounds_as_it_says(numerator: int, denominator: int) -> None:
    """Up, towards zero, half to even: compared with exact fractions."""
    exact = Fraction(numerator, denominator)
    assert 0 <= divide_up(numerator, denominator) - exact < 1
    assert divide_toward_zero(numerator, denominator) == int(exact)
    assert divide_half_even(numerator, denominator) == round(exact)


def test_times_are_microseconds_and_read_back() -> None:
    """ISO 8601 UTC with microseconds; no float between datetime and timestamp."""
    moment = datetime(2031, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)
    assert datetime_of(timestamp_of(moment)) == moment
    assert format_timestamp(timestamp_of(moment)) == "2031-02-03T04:05:06.789012Z"
    assert datetime_or_none(timestamp_or_none(moment)) == moment
    assert datetime_or_none(None) is timestamp_or_none(None) is None
