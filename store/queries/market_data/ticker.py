"""The ticker: a market at a glance, in one statement."""

from typing import Any

from schemas.market import MarketSpec, MarketStatus
from schemas.orders import Side
from schemas.rest.market_data import BookLevelView, TickerView
from schemas.units import format_micros, format_rate_e9, format_ratio_6
from store.queries.formatting import (
    index_text,
    price_text,
    quantity_text,
    rate_text_or_none,
    spec_of,
    storable,
    time_text,
    time_text_or_none,
)
from store.queries.market_data.candles import FOLDED_SQL, TRADED_SQL
from store.queries.market_data.order_book import level_view, levels_sql
from store.queries.market_data.trades import PUBLIC
from store.session.connect import Session

_DAY = TRADED_SQL.format(
    market="m.market_id",
    span_s="60",
    kept_up_to="coalesce((SELECT c.trade_id FROM candle_cursors c WHERE c.market_id = m.market_id), 0)",
    since="(date_bin('1 minute', p.at, '1970-01-01Z') - interval '1 day')",
    until="'infinity'",
)
_READ = f"""
SELECT m.name, m.spec::text AS spec, m.status, m.mark, m.index_price, m.funding_rate, m.predicted_funding_rate,
  m.next_funding_at, p.event_seq, p.at, l.price AS last_price, l.quantity AS last_quantity, l.at AS last_at,
  bid.price AS bid_price, bid.lots AS bid_lots, bid.orders AS bid_orders,
  ask.price AS ask_price, ask.lots AS ask_lots, ask.orders AS ask_orders, held.lots AS open_interest, day.*
FROM markets m JOIN progress p USING (market_id)
LEFT JOIN LATERAL (SELECT f.price, f.quantity, f.at FROM fills f WHERE f.market_id = m.market_id
  AND {PUBLIC} ORDER BY f.trade_id DESC LIMIT 1) l ON true
LEFT JOIN LATERAL ({levels_sql(Side.BUY, "1")}) bid ON true
LEFT JOIN LATERAL ({levels_sql(Side.SELL, "1")}) ask ON true
CROSS JOIN LATERAL (SELECT coalesce(sum(h.lots), 0) AS lots FROM positions h
  WHERE h.market_id = m.market_id AND h.opened_seq <> 0 AND h.lots > 0) held
CROSS JOIN LATERAL (SELECT {FOLDED_SQL} FROM ({_DAY}) t) day
WHERE m.name = $1
"""  # noqa: S608 - all of it is ours


async def read_ticker(session: Session, market: str) -> TickerView | None:
    """A market at a glance, in one snapshot; None where there is no such market."""
    row = await session.fetchrow(_READ, storable(market))
    return None if row is None else _view(spec_of(row["spec"]), row)


def _view(spec: MarketSpec, row: Any) -> TickerView:
    last, opened = row["last_price"], row["open"]
    has_change = last is not None and opened is not None
    return TickerView(
        market_id=row["name"],
        status=MarketStatus(row["status"]),
        sequence=row["event_seq"],
        time=time_text(row["at"]),
        last_price=_price_or_none(spec, last),
        last_quantity=None if last is None else quantity_text(spec, row["last_quantity"]),
        last_time=time_text_or_none(row["last_at"]),
        best_bid=_touch(spec, row, "bid"),
        best_ask=_touch(spec, row, "ask"),
        mark_price=price_text(spec, row["mark"]),
        index_price=index_text(row["index_price"]),
        funding_rate=format_rate_e9(row["funding_rate"]),
        predicted_funding_rate=rate_text_or_none(row["predicted_funding_rate"]),
        next_funding_time=time_text_or_none(row["next_funding_at"]),
        open_interest=quantity_text(spec, int(row["open_interest"])),
        volume_24h=quantity_text(spec, int(row["quantity"] or 0)),
        notional_24h=format_micros(int(row["notional"] or 0)),
        trades_24h=int(row["trades"] or 0),
        open_24h=_price_or_none(spec, opened),
        high_24h=_price_or_none(spec, row["high"]),
        low_24h=_price_or_none(spec, row["low"]),
        change_24h=price_text(spec, last - opened) if has_change else None,
        change_rate_24h=format_ratio_6(last - opened, opened) if has_change else None,
    )


def _touch(spec: MarketSpec, row: Any, side: str) -> BookLevelView | None:
    price = row[f"{side}_price"]
    return None if price is None else level_view(spec, price, row[f"{side}_lots"], row[f"{side}_orders"])


def _price_or_none(spec: MarketSpec, ticks: int | None) -> str | None:
    return None if ticks is None else price_text(spec, ticks)
