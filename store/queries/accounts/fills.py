"""Fills of a user: the user's side of every trade."""

from typing import Any

from schemas.ids import (
    parse_public_order_id,
    public_event_id,
    public_id_of_order_or_none,
    public_trade_id,
)
from schemas.orders import FillCause, LiquidityRole, Side
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.orders import FillView
from schemas.units import format_micros
from store.queries.arrivals import Arrivals, TimedList, list_by_time
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text
from store.queries.paging import (
    Conditions,
    Int8,
    ListRequest,
    Moment,
    record_key,
)
from store.session.connect import Session

SELECT_FILLS = """
SELECT f.*, o.client_order_id, m.name, m.spec::text AS spec FROM fills f JOIN markets m USING (market_id)
LEFT JOIN orders o ON o.order_id = f.order_id WHERE
"""
_PERSISTED = Arrivals(
    "SELECT market_id, g.event_seq AS seq FROM positions p JOIN progress g USING (market_id) WHERE p.user_id = $1",
    "f.market_id = {0} AND f.event_seq > {1} AND f.event_seq <= {2}",
    record_key("at", "market_id", "trade_id"),
)


def _filtered(where: Conditions, user: int, request: ListRequest) -> Conditions:
    where.add("f.user_id = {}", user)
    where.add_period("f.at", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    if request.order_id is not None:
        market, seq = parse_public_order_id(request.order_id) or ("", 0)
        where.add("m.name = {} AND f.order_id = order_key(m.market_id, {})", storable(market), seq)
    return where


_BY_TIME = TimedList(
    SELECT_FILLS, _filtered, ("f.at", "f.market_id", "f.trade_id"), tuple[Moment, Int8, Int8], _PERSISTED
)


async def list_fills(session: Session, user: int, request: ListRequest) -> Page[FillView] | Refused:
    """A page of a user's fills by time, filtered by market, order and period; an unknown order has none."""
    return await list_by_time(session, user, request, _BY_TIME, fill_view)


def fill_view(row: Any) -> FillView:
    """A row of `fills`, with its market's name and rules, as the API returns it."""
    spec, market = spec_of(row["spec"]), row["name"]
    return FillView(
        trade_id=public_trade_id(market, row["trade_id"]),
        order_id=public_id_of_order_or_none(market, row["order_id"]),
        client_order_id=row["client_order_id"],
        market_id=market,
        side=Side(row["side"]),
        liquidity_role=LiquidityRole(row["role"]),
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
        notional=format_micros(row["notional"]),
        fee=format_micros(row["fee"]),
        fee_asset=spec.quote_asset,
        realized_pnl=format_micros(row["realized"]),
        event_id=public_event_id(market, row["event_seq"]),
        cause=FillCause(row["cause"]),
        time=time_text(row["at"]),
    )
