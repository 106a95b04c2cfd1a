"""Exports: a whole list as one file, read in pages and written as fast as the client reads, so its size does not matter."""

import csv
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from api.errors import Refusal
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import LedgerEntryView
from schemas.rest.bodies import Page
from schemas.rest.markets import FundingPaymentView
from schemas.rest.orders import FillView, OrderView
from store.queries.accounts.fills import list_fills
from store.queries.accounts.ledger import list_ledger
from store.queries.accounts.orders import list_orders
from store.queries.market_data.funding import list_payments
from store.queries.paging import ListRequest
from store.session.connect import Session

PAGE_ROWS = 200
"""Read and rendered at once: a few milliseconds of the event loop, which has orders to answer."""
AT_ONCE_MAX = 16
"""Exports that a process writes at the same time; one for each user."""
_encode = msgspec.json.Encoder().encode


class Kind(NamedTuple):
    """A list that can be exported, and what a row of it is."""

    read: Callable[[Session, int, ListRequest], Awaitable[Page[Any] | Refused]]
    row: type[msgspec.Struct]


KINDS = {
    "fills": Kind(list_fills, FillView),
    "orders": Kind(list_orders, OrderView),
    "ledger": Kind(list_ledger, LedgerEntryView),
    "funding": Kind(list_payments, FundingPaymentView),
}


class Format(StrEnum):
    """How the file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


TYPES = {Format.CSV: "text/csv", Format.NDJSON: "application/x-ndjson"}


class Csv:
    """A header with the names of the fields, then a row a line (RFC 4180); what is null is empty.

    No text of a user can begin with a character that a spreadsheet takes for a formula: `clientOrderId` and `ocoGroup` allow none.
    """

    def __init__(self, row: type[msgspec.Struct]) -> None:
        self._fields = [(field.name, field.encode_name) for field in msgspec.structs.fields(row)]

    def head(self) -> bytes:
        """The header."""
        return self._lines([[name for _, name in self._fields]])

    def rows(self, views: list[Any]) -> bytes:
        """These rows."""
        return self._lines([[_cell(getattr(view, name)) for name, _ in self._fields] for view in views])

    def tail(self) -> bytes:
        """Nothing: a file that is cut is one whose connection was."""
        return b""

    @staticmethod
    def _lines(rows: list[list[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        return text.getvalue().encode()


class NdJson:
    """A row a line, as its list shows it; the last line has their number, and the SHA-256 of all bytes before it."""

    def __init__(self) -> None:
        self._count, self._digest = 0, sha256()

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, views: list[Any]) -> bytes:
        """These rows."""
        text = b"".join([_encode(view) + b"\n" for view in views])
        self._count += len(views)
        self._digest.update(text)
        return text

    def tail(self) -> bytes:
        """The last line."""
        return _encode({"rows": self._count, "sha256": self._digest.hexdigest()}) + b"\n"


def writer_of(format_: Format, kind: Kind) -> Csv | NdJson:
    """What writes a file of this kind."""
    return Csv(kind.row) if format_ is Format.CSV else NdJson()


class Exports:
    """The exports that this process writes now."""

    def __init__(self) -> None:
        self._users: set[int] = set()

    @contextmanager
    def of(self, user: int) -> Iterator[None]:
        """One more, for this user; refuses with RATE_LIMITED a second one of a user, with OVERLOADED one too many."""
        if user in self._users:
            raise Refusal(ErrorCode.RATE_LIMITED, "one export at a time: wait for the other", {"limit": "exports"})
        if len(self._users) >= AT_ONCE_MAX:
            raise Refusal(ErrorCode.OVERLOADED, "too many exports are being written; try again shortly")
        self._users.add(user)
        try:
            yield
        finally:
            self._users.discard(user)


EXPORTS = web.AppKey("EXPORTS", Exports)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
