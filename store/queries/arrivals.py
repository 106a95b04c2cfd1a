"""Lists of several markets, oldest first, without a gap or a double while rows arrive.

The rows of a market become visible in the order of its log, but a row can arrive whose time lies before that of rows of
other markets, or of another process, that a reader has seen. So the pages of one walk show, by time, the rows up to the
sequence that each market had reached at the first page; then, as the next lap, those that have arrived since; and so on,
until a lap ends with the last rows there are. The cursor carries the bounds of its lap.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from schemas.refusals import Refused
from schemas.rest.bodies import Page
from store.queries.paging import (
    Conditions,
    Int8,
    ListRequest,
    bounded_datetime,
    decode_cursor,
    encode_cursor,
    in_order,
    page_of,
)
from store.session.connect import Session

View = TypeVar("View")

Bound = tuple[Int8, Int8, Int8]
"""A market and the sequences between which a lap shows its rows: after the first, up to the second."""


class Arrivals(NamedTuple):
    """How the rows of a list arrive.

    `reached` reads the markets of user $1 with the sequence that each has reached; `is_between` is the condition that a
    row of market `{0}` lies after sequence `{1}` and not after `{2}`. `key_of` is a row's sort key.
    """

    reached: str
    is_between: str
    key_of: Callable[[Any], Sequence[int]]


class TimedList(NamedTuple):
    """A list of a user's rows by time.

    `query` is a SELECT up to its WHERE, `filtered` adds the conditions of a request, `sort_key` names the columns in SQL, the
    time first, and `cursor` is the type of their values.
    """

    query: str
    filtered: Callable[[Conditions, int, ListRequest], Conditions]
    sort_key: tuple[str, ...]
    cursor: Any
    arrivals: Arrivals


class _Place(NamedTuple):
    """The cursor: the sort key of the last row shown, None where the lap has not begun, and the bounds of the lap."""

    key: tuple[Int8, ...] | None
    lap: list[Bound]


Read = Callable[[Conditions, Sequence[int] | None, int], Awaitable[Sequence[Any]]]
"""Reads the rows that meet the conditions, after a sort key, at most a number of them."""


async def list_by_time(
    session: Session, user: int, request: ListRequest, listed: TimedList, view: Callable[[Any], View]
) -> Page[View] | Refused:
    """A page of a user's rows, newest first, or oldest first in laps."""

    async def read(within: Conditions, after: Sequence[int] | None, limit: int) -> Sequence[Any]:
        where = listed.filtered(within, user, request)
        if after is not None:
            where.add_after(listed.sort_key, (bounded_datetime(after[0]), *after[1:]), request)
        return await session.fetch(
            f"{listed.query}{where}{in_order(listed.sort_key, request, limit)}", *where.arguments
        )

    if request.is_oldest_first:
        walked = await _walk(session, request, user, listed.arrivals, read)
        return walked if isinstance(walked, Refused) else Page([view(row) for row in walked[0]], walked[1])
    after = decode_cursor(request.cursor, listed.cursor)
    if isinstance(after, Refused):
        return after
    rows = await read(Conditions("true"), after, request.limit + 1)
    return page_of(rows, request.limit, listed.arrivals.key_of, view)


async def _walk(
    session: Session, request: ListRequest, user: int, arrivals: Arrivals, read: Read
) -> tuple[Sequence[Any], str | None] | Refused:
    """The rows of a page of a user's list, oldest first, and the cursor of the next page."""
    place = decode_cursor(request.cursor, _Place)
    if isinstance(place, Refused):
        return place
    is_first = place is None
    if place is None:
        place = _Place(None, _lap({}, await _reached(session, user, arrivals)))
    rows = list(await read(_within(arrivals, place.lap), place.key, request.limit + 1))
    laps = [place.lap] * len(rows)
    if len(rows) <= request.limit and not is_first:
        following = _lap({market: high for market, _, high in place.lap}, await _reached(session, user, arrivals))
        arrived = await read(_within(arrivals, following), None, request.limit + 1 - len(rows))
        rows += arrived
        laps += [following] * len(arrived)
    shown = rows[: request.limit]
    if len(rows) == len(shown):
        return shown, None
    is_begun = laps[request.limit - 1] is laps[request.limit]
    onward = _Place(tuple(arrivals.key_of(shown[-1])) if is_begun else None, laps[request.limit])
    return shown, encode_cursor(onward)


async def _reached(session: Session, user: int, arrivals: Arrivals) -> dict[int, int]:
    rows = await session.fetch(arrivals.reached, user)
    return {row["market_id"]: row["seq"] for row in rows}


def _lap(before: Mapping[int, int], reached: Mapping[int, int]) -> list[Bound]:
    return [(market, before.get(market, 0), seq) for market, seq in sorted(reached.items())]


def _within(arrivals: Arrivals, lap: Sequence[Bound]) -> Conditions:
    bounds = "unnest({}::int4[], {}::int8[], {}::int8[]) AS lap (market_id, low, high)"
    between = arrivals.is_between.format("lap.market_id", "lap.low", "lap.high")
    columns = [[bound[place] for bound in lap] for place in range(3)]
    return Conditions(f"EXISTS (SELECT FROM {bounds} WHERE {between})", *columns)
