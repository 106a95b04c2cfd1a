"""Cursors: opaque, exact, and refused when they are not ours."""

import base64
from datetime import UTC, datetime

import pytest

from schemas.refusals import ErrorCode, Refused
from schemas.units import timestamp_of
from store.queries.paging import (
    Conditions,
    Int8,
    ListRequest,
    Moment,
    bounded_datetime,
    decode_cursor,
    encode_cursor,
    page_by_name,
)

KEY = tuple[Moment, Int8]


def test_a_cursor_comes_back_as_the_key_it_was_made_of() -> None:
    """Whatever the database can hold."""
    for key in [(0, 0), (1_800_000_000_000_000, 2**63 - 1), (1, -(2**63))]:
        assert decode_cursor(encode_cursor(key), KEY) == key
    assert decode_cursor(None, KEY) is None


def word(text: bytes) -> str:
    """Any text as a cursor would carry it."""
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "not base64!",
        "ü",
        "A" * 1_000,
        word(b"[1]"),
        word(b"[1,2,3]"),
        word(b'["1",2]'),
        word(b"[1.5,2]"),
        word(b"[1,9223372036854775808]"),
        word(b"[-1,2]"),
        word(b"[999999999999999999999999,2]"),
        word(b"null"),
        word(b"\xff\xfe"),
        word(b"[" * 150),
        "\ud800",
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    """INVALID_REQUEST, never a failure of the database."""
    refused = decode_cursor(cursor, KEY)
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.INVALID_REQUEST


def test_conditions_number_their_arguments_in_order() -> None:
    """Each fragment continues where the last one ended."""
    where = Conditions("a = {}", 1)
    where.add("(b, c) < ({}, {})", 2, 3)
    where.add_period("at", ListRequest(from_=timestamp_of(datetime(2027, 1, 1, tzinfo=UTC))))
    assert str(where) == "a = $1 AND (b, c) < ($2, $3) AND at >= $4"
    assert where.arguments == [1, 2, 3, datetime(2027, 1, 1, tzinfo=UTC)]


def test_a_time_beyond_the_calendar_is_cut_to_it() -> None:
    """Year 1 and year 9999 are as far as both languages go."""
    assert bounded_datetime(-(10**30)) == datetime.min.replace(tzinfo=UTC)
    assert bounded_datetime(10**30) == datetime.max.replace(tzinfo=UTC)


def test_a_page_that_ends_with_the_list_leads_nowhere() -> None:
    """Exactly `limit` rows left: no cursor to an empty page."""
    first = page_by_name(["c", "a", "b"], ListRequest(limit=2), lambda name: name)
    assert not isinstance(first, Refused)
    assert first.data == ["a", "b"]
    second = page_by_name(["c", "a", "b"], ListRequest(limit=1, cursor=first.next_cursor), lambda name: name)
    assert not isinstance(second, Refused)
    assert (second.data, second.next_cursor) == (["c"], None)
