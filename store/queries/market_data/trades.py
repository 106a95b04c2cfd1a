"""The public trades of a market, newest first: price and size, without the parties."""

from typing import Any

from schemas.ids import public_trade_id
from schemas.market import MarketSpec
from schemas.orders import FillCause, Side
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.market_data import TradeView
from schemas.units import format_micros
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text
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

PUBLIC = "f.role = 'TAKER' AND f.order_id IS NOT NULL"
"""One row a trade in the book; a take-over and a deleveraging have no order and are no trades of the market."""

_COLUMNS = "f.trade_id, f.side, f.price, f.quantity, f.notional, f.cause, f.at"
_BY_TIME = ("f.at", "f.trade_id")


async def list_trades(session: Session, market: str, request: ListRequest) -> Page[TradeView] | Refused | None:
    """A page of a market's trades by time, filtered by period; None where there is no such market."""
    after = decode_cursor(request.cursor, tuple[Moment, Int8])
    if isinstance(after, Refused):
        return after
    where = Conditions(f"f.market_id = m.market_id AND {PUBLIC}")
    where.add_period("f.at", request)
    if after is not None:
        where.add_after(_BY_TIME, (bounded_datetime(after[0]), after[1]), request)
    rows = await session.fetch(_query(where, request), *where.arguments, storable(market))
    if not rows:
        return None
    spec = spec_of(rows[0]["spec"])
    trades = [row for row in rows if row["trade_id"] is not None]
    return page_of(trades, request.limit, record_key("at", "trade_id"), lambda row: trade_view(spec, row))


def trade_view(spec: MarketSpec, row: Any) -> TradeView:
    """The taker's fill of a trade as the API returns it."""
    return TradeView(
        trade_id=public_trade_id(spec.market, row["trade_id"]),
        sequence=row["trade_id"],
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
        notional=format_micros(row["notional"]),
        taker_side=Side(row["side"]),
        cause=FillCause(row["cause"]),
        time=time_text(row["at"]),
    )


def _query(where: Conditions, request: ListRequest) -> str:
    """One row per trade, or one row without a trade when the market is listed and has none."""
    page = f"SELECT {_COLUMNS} FROM fills f WHERE {where}{in_order(_BY_TIME, request)}"  # noqa: S608 - conditions are ours
    name = len(where.arguments) + 1
    return (
        f"SELECT m.spec::text AS spec, t.* FROM markets m LEFT JOIN LATERAL ({page}) t ON true WHERE m.name = ${name}"  # noqa: S608 - as above
    )
