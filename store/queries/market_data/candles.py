"""Candles of a market: the stored ones (store/markets/candles.py), with the trades after their cursor added.

Two reads in one snapshot: the first and last trade of the market, then the requested intervals. The cost of a page depends
on its candles, not on their trades. Times are microseconds until the answer is written.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from schemas.market import MarketSpec
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.market_data import CandleInterval, CandleView
from schemas.units import (
    SECOND_US,
    Timestamp,
    datetime_of,
    format_micros,
    format_timestamp,
    timestamp_of,
    timestamp_or_none,
)
from store.queries.formatting import price_text, quantity_text, spec_of, storable
from store.queries.market_data.trades import PUBLIC
from store.queries.paging import ListRequest, Moment, decode_cursor, encode_cursor
from store.session.connect import Session

_HOUR_S = 3_600
_MINUTE_S = 60

_EXTENT = f"""
SELECT m.market_id, m.spec::text AS spec, c.trade_id AS kept_up_to, greatest(p.at, l.at) AS now, b.at AS begun_at
FROM markets m JOIN progress p USING (market_id) LEFT JOIN candle_cursors c USING (market_id)
LEFT JOIN LATERAL (
  SELECT f.at FROM fills f WHERE f.market_id = m.market_id AND {PUBLIC} ORDER BY f.at DESC LIMIT 1) l ON true
LEFT JOIN LATERAL (SELECT f.at FROM fills f WHERE f.market_id = m.market_id AND {PUBLIC} ORDER BY f.at LIMIT 1) b ON true
WHERE m.name = $1
"""  # noqa: S608 - the condition is ours

# OFFSET 0: the trades after the cursor are found by it, never by their time
TRADED_SQL = """
SELECT k.start, k.open, k.high, k.low, k.close, k.quantity, k.notional, k.trades, k.opened_by, k.closed_by FROM candles k
WHERE k.market_id = {market} AND k.span_s = {span_s} AND k.start >= {since} AND k.start < {until}
UNION ALL
SELECT f.at, f.price, f.price, f.price, f.price, f.quantity, f.notional, 1, f.trade_id, f.trade_id FROM (
  SELECT x.* FROM fills x WHERE x.market_id = {market} AND x.trade_id > {kept_up_to} AND x.role = 'TAKER' OFFSET 0) f
WHERE f.order_id IS NOT NULL AND f.at >= {since} AND f.at < {until}
"""
"""The trades of a period: stored candles of the span, and each trade after the cursor as a candle."""

FOLDED_SQL = """
(array_agg(t.open ORDER BY t.opened_by))[1] AS open, max(t.high) AS high, min(t.low) AS low,
(array_agg(t.close ORDER BY t.closed_by DESC))[1] AS close, sum(t.quantity) AS quantity, sum(t.notional) AS notional,
sum(t.trades) AS trades
"""
"""Its rows `t`, as one candle."""

_TRADED = TRADED_SQL.format(market="$1", span_s="$2", kept_up_to="$3", since="(SELECT at FROM since)", until="$5")
_READ = f"""
WITH since AS (
  SELECT coalesce((SELECT date_bin($6::interval, f.at, '1970-01-01Z') FROM fills f
    WHERE f.market_id = $1 AND {PUBLIC} AND f.at < $4 ORDER BY f.at DESC LIMIT 1), $4) AS at
)
SELECT date_bin($6::interval, t.start, '1970-01-01Z') AS start, {FOLDED_SQL} FROM ({_TRADED}) t GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - all of it is ours


class _Extent(NamedTuple):
    """A market and the extent of its trades, in microseconds; `begun_at` is None while there are none."""

    market_id: int
    spec: MarketSpec
    kept_up_to: int
    now: Timestamp
    begun_at: Timestamp | None


class _Span(NamedTuple):
    """The candles of a page: they start at `first`, `first + step` … `last`; `has_more`: there is another page."""

    first: int
    last: int
    step: int
    has_more: bool


async def list_candles(
    session: Session, market: str, interval: CandleInterval, request: ListRequest
) -> Page[CandleView] | Refused | None:
    """A page of a market's candles that start in a period, newest or oldest first; None where there is no such market.

    There is one for every interval from the market's first trade to now.
    """
    passed = decode_cursor(request.cursor, Moment)
    if isinstance(passed, Refused):
        return passed
    async with session.transaction(isolation="repeatable_read", readonly=True):
        extent = await _read_extent(session, market)
        span = None if extent is None else _span(extent, interval, request, passed)
        if extent is None or span is None:
            return None if extent is None else Page([], None)
        rows = await session.fetch(_READ, *_arguments(extent, span))
    views, end = list(_views(extent.spec, span, rows)), span.last if request.is_oldest_first else span.first
    shown = views if request.is_oldest_first else views[::-1]
    return Page(shown, encode_cursor(end) if span.has_more else None)


async def _read_extent(session: Session, market: str) -> _Extent | None:
    row = await session.fetchrow(_EXTENT, storable(market))
    if row is None:
        return None
    begun_at = timestamp_or_none(row["begun_at"])
    return _Extent(row["market_id"], spec_of(row["spec"]), row["kept_up_to"] or 0, timestamp_of(row["now"]), begun_at)


def _span(extent: _Extent, interval: CandleInterval, request: ListRequest, passed: int | None) -> _Span | None:
    """The newest or oldest candles that the request allows, at most its limit; None when there are none."""
    if extent.begun_at is None:
        return None
    step = interval.seconds * SECOND_US
    newest = min(extent.now // step, ((request.to - 1) // step) if request.to is not None else extent.now) * step
    oldest = max(extent.begun_at // step, -(-(request.from_ or 0) // step)) * step
    pages_us = (request.limit - 1) * step
    if request.is_oldest_first:
        first = oldest if passed is None else max(oldest, passed + step)
        last = min(newest, first + pages_us)
        return _Span(first, last, step, has_more=last < newest) if first <= newest else None
    last = newest if passed is None else min(newest, (passed - 1) // step * step)
    first = max(oldest, last - pages_us)
    return _Span(first, last, step, has_more=first > oldest) if oldest <= last else None


def _arguments(extent: _Extent, span: _Span) -> tuple[object, ...]:
    """The arguments of `_READ`: candles of an hour or more are made of hours, the others of minutes."""
    part_s = _HOUR_S if span.step >= _HOUR_S * SECOND_US else _MINUTE_S
    period = (datetime_of(span.first), datetime_of(span.last + span.step))
    return (extent.market_id, part_s, extent.kept_up_to, *period, timedelta(microseconds=span.step))


def _views(spec: MarketSpec, span: _Span, rows: list[Any]) -> Iterator[CandleView]:
    """The candles, oldest first; without trades, the previous close continues."""
    traded = {timestamp_of(row["start"]): row for row in rows}
    close = rows[0]["close"] if rows else 0
    for start in range(span.first, span.last + span.step, span.step):
        row = traded.get(Timestamp(start))
        yield _empty(spec, start, close) if row is None else _view(spec, start, row)
        close = close if row is None else row["close"]


def _view(spec: MarketSpec, start: int, row: Any) -> CandleView:
    return CandleView(
        time=format_timestamp(start),
        open=price_text(spec, row["open"]),
        high=price_text(spec, row["high"]),
        low=price_text(spec, row["low"]),
        close=price_text(spec, row["close"]),
        volume=quantity_text(spec, int(row["quantity"])),
        notional=format_micros(int(row["notional"])),
        trades=int(row["trades"]),
    )


def _empty(spec: MarketSpec, start: int, close: int) -> CandleView:
    price = price_text(spec, close)
    return CandleView(format_timestamp(start), price, price, price, price, "0", "0", 0)
