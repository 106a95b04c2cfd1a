"""Lists in pages, newest or oldest first: the caller's parameters, and the opaque cursor of the next page."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from schemas.orders import OrderStatus
from schemas.refusals import ErrorCode, Refused
from schemas.rest.bodies import Page
from schemas.units import Timestamp, datetime_of, timestamp_of

Key = TypeVar("Key")
Row = TypeVar("Row")
View = TypeVar("View")

LIMIT_DEFAULT = 100
LIMIT_MAX = 500
CURSOR_LENGTH_MAX = 4_096
"""Enough for a cursor that names more than a hundred markets (store/queries/arrivals.py)."""

Int8 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]
"""Microseconds since 1970, up to the year 9999."""


class ListRequest(msgspec.Struct, frozen=True):
    """A request for one page of a list: at most `limit` rows after `cursor`, from `from_` (inclusive) to `to` (exclusive).

    Times are of the order's creation or of the fill. A list ignores the filters that it does not have.
    """

    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    cursor: str | None = None
    market_id: str | None = None
    from_: Timestamp | None = None
    to: Timestamp | None = None
    statuses: frozenset[OrderStatus] | None = None
    order_id: str | None = None
    from_sequence: int = 1
    is_oldest_first: bool = False
    updated_from: Timestamp | None = None


class Conditions:
    """The WHERE clause of one list: fragments of SQL with `{}` for each argument, in the order they are added."""

    def __init__(self, fragment: str, *arguments: object) -> None:
        self._fragments: list[str] = []
        self.arguments: list[object] = []
        self.add(fragment, *arguments)

    def add(self, fragment: str, *arguments: object) -> None:
        """Add one more condition that must hold."""
        first = len(self.arguments) + 1
        self._fragments.append(fragment.format(*(f"${first + i}" for i in range(len(arguments)))))
        self.arguments += arguments

    def copy(self) -> "Conditions":
        """The same conditions, to add others to."""
        copied = Conditions("true")
        copied._fragments, copied.arguments = [*self._fragments], [*self.arguments]
        return copied

    def add_period(self, column: str, request: ListRequest) -> None:
        """Add the request's period over a column of times."""
        if request.from_ is not None:
            self.add(f"{column} >= {{}}", bounded_datetime(request.from_))
        if request.to is not None:
            self.add(f"{column} < {{}}", bounded_datetime(request.to))

    def add_after(self, columns: Sequence[str], key: Sequence[object], request: ListRequest) -> None:
        """Add that a row comes after the row with this sort key, in the order of the request."""
        beyond = ">" if request.is_oldest_first else "<"
        self.add(f"({', '.join(columns)}) {beyond} ({', '.join(['{}'] * len(columns))})", *key)

    def __str__(self) -> str:
        return " AND ".join(self._fragments)


def in_order(columns: Sequence[str], request: ListRequest, limit: int | None = None) -> str:
    """ORDER BY and LIMIT of a page: one row more than it shows, which says whether there is another page."""
    way = "ASC" if request.is_oldest_first else "DESC"
    rows = request.limit + 1 if limit is None else limit
    return f" ORDER BY {', '.join(f'{column} {way}' for column in columns)} LIMIT {rows}"


def encode_cursor(key: object) -> str:
    """The sort key of a page's last row as an opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str | None, key_type: type[Key]) -> Key | Refused | None:
    """The sort key inside a cursor; None without one, INVALID_REQUEST for one that was not issued here."""
    if cursor is None:
        return None
    if len(cursor) > CURSOR_LENGTH_MAX:
        return _unknown_cursor()
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=key_type)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        return _unknown_cursor()


def page_of(
    rows: Sequence[Row], limit: int, key_of: Callable[[Row], object], view: Callable[[Row], View]
) -> Page[View]:
    """A page of at most `limit` rows; one row more than `limit` means that there is a next page."""
    shown = rows[:limit]
    following = encode_cursor(key_of(shown[-1])) if len(rows) > limit else None
    return Page([view(row) for row in shown], following)


def page_by_name(views: Sequence[View], request: ListRequest, name_of: Callable[[View], str]) -> Page[View] | Refused:
    """A page of a short list that is read whole, ordered by name."""
    after = decode_cursor(request.cursor, str)
    if isinstance(after, Refused):
        return after
    wanted = [
        view
        for view in sorted(views, key=name_of)
        if (after is None or name_of(view) > after) and request.market_id in (None, name_of(view))
    ]
    return page_of(wanted, request.limit, name_of, lambda view: view)


def bounded_datetime(moment: int) -> datetime:
    """A time that both PostgreSQL and Python can represent: clamped to the years 1 to 9999."""
    first = timestamp_of(datetime.min.replace(tzinfo=UTC))
    last = timestamp_of(datetime.max.replace(tzinfo=UTC))
    return datetime_of(max(first, min(last, moment)))


def record_key(*columns: str) -> Callable[[Any], tuple[int, ...]]:
    """The sort key of a database row: its time in microseconds, then the other columns."""
    moment, *others = columns
    return lambda row: (timestamp_of(row[moment]), *(row[column] for column in others))


def _unknown_cursor() -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, "cursor is not one of ours", {"field": "cursor"})
