"""The base structs of all bodies, pages, and the types of their fields."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from schemas.units import DECIMAL_PATTERN

T = TypeVar("T")
EXPECTED = "expected"
"""The key, in the `extra` of a type with a pattern, of what a refusal says is expected."""
DecimalText = Annotated[
    str,
    Meta(
        pattern=DECIMAL_PATTERN[:-1] + r"$(?!\n)",
        max_length=37,
        description="A decimal number as a string",
        extra={EXPECTED: 'a decimal string like "0.001", with at most 18 digits on either side of the point'},
    ),
]
ClientOrderId = Annotated[
    str,
    Meta(
        pattern=r"^[.A-Z:/a-z0-9_-]{1,36}$(?!\n)",
        description="Unique per user, forever",
        extra={EXPECTED: "1 to 36 letters, digits, or characters of . : / _ -"},
    ),
]
OcoGroup = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{1,36}$(?!\n)",
        description="Orders of an account in one market with the same group cancel each other",
        extra={EXPECTED: "1 to 36 letters, digits, or characters of _ -"},
    ),
]
Email = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,190}$(?!\n)",
        max_length=254,
        extra={EXPECTED: "an address like name@example.org"},
    ),
]
Password = Annotated[str, Meta(min_length=8, max_length=128)]
Moment = Annotated[datetime, Meta(tz=True)]
TimeText = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A time in an answer: RFC 3339, UTC, with microseconds."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A request body."""


class View(msgspec.Struct, frozen=True, rename="camel"):
    """An answer body."""


class Page(View, Generic[T], frozen=True):
    """One page of a list, newest first unless its route says otherwise; `nextCursor` is the cursor of the next page, null on the last."""

    data: list[T]
    next_cursor: str | None
