"""Markets for their operators: status, owner, lags, price sources, and the pace of the last seconds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.market import MarketStatus, PriceSource
from schemas.rest.operating.console import MarketConsoleView, PaceView, SourceView
from schemas.units import Timestamp, datetime_of, format_timestamp
from store.markets.rests import read_rests
from store.queries.formatting import index_text, price_text, quantity_text, spec_of, time_text
from store.queries.operations.business import MarketBusiness
from store.queries.operations.lags import MarketLag, read_lags
from store.session.connect import Session
from store.session.presence import RunningProcess, Work, read_processes

PACE_S = 5
ORDERS_LOOKED_AT = 10_000
RECORDS_LOOKED_AT = 50

_READ = """
SELECT m.name, m.spec::text AS spec, m.status, m.operator_status, m.is_frozen, m.halted_reason, m.mark, m.mark_at, m.index_price, m.rules,
  m.price_sources::text AS sources, m.price_quorum, p.command_seq, p.event_seq,
  (SELECT coalesce(sum(h.lots), 0)::int8 FROM positions h
    WHERE h.market_id = m.market_id AND h.opened_seq <> 0 AND h.lots > 0) AS open_interest,
  (SELECT json_object_agg(r.source, (extract(epoch FROM r.observed_at) * 1000000)::int8) FROM price_reports r
    WHERE r.market_id = m.market_id)::text AS reports
FROM markets m JOIN progress p USING (market_id) ORDER BY m.name
"""
# The newest orders by their key, so that an idle market costs nothing: none of its commands is newer.
_PACE = f"""
SELECT m.name, n.orders, l.p50, l.p95 FROM markets m JOIN counters c USING (market_id)
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE x.created_at > $1) AS orders FROM (
    SELECT o.created_at FROM orders o WHERE o.order_id <= order_key(m.market_id, c.command_seq)
      AND o.order_id > order_key(m.market_id, greatest(0, c.command_seq - {ORDERS_LOOKED_AT}))
    ORDER BY o.order_id DESC LIMIT {ORDERS_LOOKED_AT}) x) n
CROSS JOIN LATERAL (
  SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY z.us) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY z.us) AS p95 FROM (
    SELECT greatest(0, extract(epoch FROM w.persisted_at - o.created_at) * 1000000)::int8 AS us FROM (
      SELECT y.command_seq, y.persisted_at FROM persisted_records y WHERE y.market_id = m.market_id
      ORDER BY y.command_seq DESC LIMIT {RECORDS_LOOKED_AT}) w
    JOIN orders o ON o.order_id = order_key(m.market_id, w.command_seq)
    WHERE w.persisted_at > $1) z) l
"""  # noqa: S608 - constants of ours


class _Around(NamedTuple):
    """What other queries say of a market."""

    lag: MarketLag
    business: MarketBusiness | None
    pace: PaceView
    owner: str | None
    rests: str | None
    now: Timestamp


async def list_console_markets(
    session: Session, business: Sequence[MarketBusiness], now: Timestamp
) -> list[MarketConsoleView]:
    """Every market, by name; the counts of orders and positions are those of `business`."""
    counts = {each.market: each for each in business}
    lags = {each.market: each for each in await read_lags(session, now)}
    owners = owners_of(await read_processes(session))
    rests, paces = await read_rests(session), await _read_paces(session, now)
    rows = await session.fetch(_READ)
    return [
        _view(
            row,
            _Around(
                lags[row["name"]],
                counts.get(row["name"]),
                paces[row["name"]],
                owners.get((Work.ENGINE, row["name"])),
                rests.get(row["name"]),
                now,
            ),
        )
        for row in rows
        if row["name"] in lags and row["name"] in paces  # one that is listed meanwhile comes with the next look
    ]


def owners_of(running: Sequence[RunningProcess]) -> dict[tuple[Work, str], str]:
    """The owner of each market by kind of work; several places when a frozen former owner still claims it."""
    owners: dict[tuple[Work, str], str] = {}
    for name, tasks in running:
        for task in tasks:
            owners[task] = f"{owners[task]}, {name.place}" if task in owners else name.place
    return owners


async def _read_paces(session: Session, now: Timestamp) -> Mapping[str, PaceView]:
    rows = await session.fetch(_PACE, datetime_of(Timestamp(now - PACE_S * 1_000_000)))
    return {row["name"]: PaceView(PACE_S, row["orders"], row["p50"], row["p95"]) for row in rows}


def _view(row: Any, around: _Around) -> MarketConsoleView:
    spec, lag, business = spec_of(row["spec"]), around.lag, around.business
    return MarketConsoleView(
        market_id=row["name"],
        status=MarketStatus(row["status"]),
        operator_status=MarketStatus(row["operator_status"]),
        is_frozen=row["is_frozen"],
        halt_reason=row["halted_reason"],
        rests=around.rests,
        owner=around.owner,
        shard=lag.shard,
        rules=row["rules"],
        mark_price=price_text(spec, row["mark"]),
        index_price=index_text(row["index_price"]),
        mark_at=time_text(row["mark_at"]),
        sources=_sources(row, around.now),
        quorum=row["price_quorum"],
        commands=row["command_seq"],
        events=row["event_seq"],
        unsent=lag.unsent,
        unsent_age_ms=_ms(lag.unsent_age_s),
        unpersisted=lag.unpersisted,
        unpersisted_age_ms=_ms(lag.unpersisted_age_s),
        snapshot_age_ms=None if lag.snapshot_age_s is None else _ms(lag.snapshot_age_s),
        open_orders=0 if business is None else business.open_orders,
        waiting_orders=0 if business is None else business.waiting_orders,
        positions=0 if business is None else business.positions,
        open_interest=quantity_text(spec, row["open_interest"]),
        trades=0 if business is None else business.trades,
        pace=around.pace,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)


def _sources(row: Any, now: Timestamp) -> list[SourceView]:
    reports: dict[str, int] = msgspec.json.decode(row["reports"] or "{}")
    return [
        SourceView(
            name=source.name,
            weight=source.weight,
            max_age_ms=source.max_age_ms,
            observed_at=None if seen is None else format_timestamp(Timestamp(seen)),
            is_fresh=seen is not None and now - seen <= source.max_age_ms * 1_000,
        )
        for source in msgspec.json.decode(row["sources"], type=tuple[PriceSource, ...])
        for seen in [reports.get(source.name)]
    ]
