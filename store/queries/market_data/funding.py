"""Funding: a market's rates, and the payments of an account."""

from typing import Any

from schemas.events import FundingSettled
from schemas.ids import public_event_id
from schemas.market import MarketSpec
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.markets import FundingPaymentView, FundingView, MarketFundingView
from schemas.units import divide_toward_zero, format_micros, format_rate_e9, format_timestamp
from store.queries.arrivals import Arrivals, TimedList, list_by_time
from store.queries.formatting import (
    index_text,
    price_text,
    quantity_text,
    rate_text_or_none,
    side_text,
    spec_of,
    storable,
    time_text,
    time_text_or_none,
)
from store.queries.paging import (
    Conditions,
    Int8,
    ListRequest,
    Moment,
    bounded_datetime,
    decode_cursor,
    in_order,
    page_of,
    record_key,
)
from store.session.connect import Session

_MARKET = """
SELECT market_id, name, spec::text AS spec, index_price, mark, funding_rate, predicted_funding_rate, next_funding_at
FROM markets WHERE name = $1
"""
_SINCE = """
SELECT g.*, m.spec::text AS spec FROM fundings g JOIN markets m USING (market_id)
WHERE m.name = $1 AND g.event_seq >= $2::int8 ORDER BY g.interval_end LIMIT $3::int8
"""
_PAYMENTS = "SELECT p.*, m.name, m.spec::text AS spec FROM funding_payments p JOIN markets m USING (market_id) WHERE "
_PERSISTED = Arrivals(
    "SELECT market_id, g.event_seq AS seq FROM positions h JOIN progress g USING (market_id) WHERE h.user_id = $1",
    "p.market_id = {0} AND p.event_seq > {1} AND p.event_seq <= {2}",
    record_key("interval_end", "market_id"),
)


async def read_funding(session: Session, market: str, request: ListRequest) -> MarketFundingView | Refused | None:
    """A market's current funding and a page of its history, filtered by period; None where there is no such market."""
    after = decode_cursor(request.cursor, Moment)
    if isinstance(after, Refused):
        return after
    row = await session.fetchrow(_MARKET, storable(market))
    if row is None:
        return None
    where = Conditions("market_id = {}", row["market_id"])
    where.add_period("interval_end", request)
    if after is not None:
        where.add_after(("interval_end",), (bounded_datetime(after),), request)
    query = f"SELECT * FROM fundings WHERE {where}{in_order(('interval_end',), request)}"  # noqa: S608 - conditions are ours
    rows, spec = await session.fetch(query, *where.arguments), spec_of(row["spec"])
    page = page_of(
        rows, request.limit, lambda each: record_key("interval_end")(each)[0], lambda each: _view(spec, each)
    )
    return _with_present(row, spec, page)


async def read_fundings(session: Session, market: str, from_event: int, limit: int) -> list[tuple[int, FundingView]]:
    """At most `limit` fundings of a market from an event on, oldest first, each with its event; none for an unknown market."""
    rows = await session.fetch(_SINCE, storable(market), from_event, limit)
    return [(row["event_seq"], _view(spec_of(row["spec"]), row)) for row in rows]


def funding_of_event(spec: MarketSpec, event: FundingSettled) -> FundingView:
    """The funding that an event reports, as its row is shown."""
    return FundingView(
        time=format_timestamp(event.interval_end),
        rate=format_rate_e9(event.rate),
        mean_premium=_mean_premium(spec, event.premium_sum),
        mark_price=price_text(spec, event.mark),
        index_price=index_text(event.index),
        is_void=event.is_void,
        event_id=public_event_id(spec.market, event.seq),
    )


def _mean_premium(spec: MarketSpec, premium_sum: int) -> str:
    return format_rate_e9(divide_toward_zero(premium_sum, spec.funding_interval_hours * 60))


def _filtered(where: Conditions, user: int, request: ListRequest) -> Conditions:
    where.add("p.user_id = {}", user)
    where.add_period("p.interval_end", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    return where


_BY_INTERVAL = TimedList(_PAYMENTS, _filtered, ("p.interval_end", "p.market_id"), tuple[Moment, Int8], _PERSISTED)


async def list_payments(session: Session, user: int, request: ListRequest) -> Page[FundingPaymentView] | Refused:
    """A page of a user's funding payments, by the end of the interval, filtered by market and period."""
    return await list_by_time(session, user, request, _BY_INTERVAL, payment_view)


def payment_view(row: Any) -> FundingPaymentView:
    """A row of `funding_payments`, with its market's name and rules, as the API returns it."""
    spec = spec_of(row["spec"])
    return FundingPaymentView(
        market_id=row["name"],
        side=side_text(row["lots"]),
        quantity=quantity_text(spec, abs(row["lots"])),
        mark_price=price_text(spec, row["mark"]),
        rate=format_rate_e9(row["rate"]),
        amount=format_micros(row["amount"]),
        event_id=public_event_id(row["name"], row["event_seq"]),
        time=time_text(row["interval_end"]),
    )


def _view(spec: MarketSpec, row: Any) -> FundingView:
    return FundingView(
        time=time_text(row["interval_end"]),
        rate=format_rate_e9(row["rate"]),
        mean_premium=_mean_premium(spec, row["premium_sum"]),
        mark_price=price_text(spec, row["mark"]),
        index_price=index_text(row["index_price"]),
        is_void=row["is_void"],
        event_id=public_event_id(spec.market, row["event_seq"]),
    )


def _with_present(row: Any, spec: MarketSpec, page: Page[FundingView]) -> MarketFundingView:
    return MarketFundingView(
        market_id=row["name"],
        funding_rate=format_rate_e9(row["funding_rate"]),
        predicted_funding_rate=rate_text_or_none(row["predicted_funding_rate"]),
        next_funding_time=time_text_or_none(row["next_funding_at"]),
        index_price=index_text(row["index_price"]),
        mark_price=price_text(spec, row["mark"]),
        data=page.data,
        next_cursor=page.next_cursor,
    )
