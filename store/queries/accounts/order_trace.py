"""Every hop of one order, from the tables only: a hop without a row has no time."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from schemas.ids import (
    parse_public_order_id,
    public_command_id,
    public_event_id,
    public_order_id,
    public_trade_id,
    seq_of_order_key,
)
from schemas.orders import EndReason, LiquidityRole, OrderStatus
from schemas.rest.order_trace import Hop, HopView, OrderTraceView
from schemas.wire import COMMANDS_PER_RECORD_MAX
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text, time_text_or_none
from store.session.connect import Session

FILLS_MAX = 500

_READ = f"""
SELECT o.order_id, o.status, o.reason, o.client_order_id, o.created_at, o.updated_at, o.cancel_requested_at, o.cancel_seq,
  m.name, m.spec::text AS spec, c.command_seq AS accepted_seq, r.command_seq AS relayed_seq,
  p.command_seq AS persisted_seq, p.event_seq, o.ended_event_seq, s.sent_at, w.matched_at, w.persisted_at, f.*
FROM orders o JOIN markets m USING (market_id) JOIN counters c USING (market_id) JOIN relay_cursors r USING (market_id)
JOIN progress p USING (market_id)
CROSS JOIN LATERAL (
  -- a record that is sent again need not start where the first one did
  SELECT min(y.sent_at) AS sent_at FROM relayed_records y
  WHERE y.market_id = o.market_id AND y.command_seq BETWEEN $2 AND $2 + {COMMANDS_PER_RECORD_MAX} - 1 AND y.after_seq < $2) s
LEFT JOIN LATERAL (
  SELECT * FROM persisted_records y WHERE y.market_id = o.market_id AND y.command_seq >= $2 ORDER BY y.command_seq LIMIT 1) w
  ON w.after_seq < $2
LEFT JOIN LATERAL (
  SELECT y.trade_id, y.role, y.event_seq AS fill_event, y.price, y.quantity, y.at FROM fills y
  WHERE y.order_id = o.order_id ORDER BY y.trade_id LIMIT {FILLS_MAX + 1}) f ON true
WHERE m.name = $1 AND o.order_id = order_key(m.market_id, $2) AND o.user_id = $3
"""  # noqa: S608 - constants of ours


async def read_order_trace(session: Session, user: int, order_id: str) -> OrderTraceView | None:
    """The hops of a user's order by its public id; None for unknown ids and for orders of other users."""
    parsed = parse_public_order_id(order_id)
    if parsed is None:
        return None
    rows = await session.fetch(_READ, storable(parsed[0]), parsed[1], user)
    return _view(rows) if rows else None


def _view(rows: Sequence[Any]) -> OrderTraceView:
    order = rows[0]
    fills = [row for row in rows if row["trade_id"] is not None]
    seq = seq_of_order_key(order["order_id"])
    return OrderTraceView(
        order_id=public_order_id(order["name"], seq),
        market_id=order["name"],
        client_order_id=order["client_order_id"],
        status=OrderStatus(order["status"]),
        command_sequence=seq,
        accepted_command_sequence=order["accepted_seq"],
        relayed_command_sequence=order["relayed_seq"],
        persisted_command_sequence=order["persisted_seq"],
        persisted_event_sequence=order["event_seq"],
        hops=[*_on_its_way(order, seq), *_in_the_market(order, fills[:FILLS_MAX]), *_at_its_end(order, seq)],
        has_more_fills=len(fills) > FILLS_MAX,
    )


def _on_its_way(order: Any, seq: int) -> Iterator[HopView]:
    """Hops up to the matching. Relayed means before the relay's cursor, or persisted: a rebuild sets the cursor back."""
    command = public_command_id(order["name"], seq)
    is_relayed = max(order["relayed_seq"], order["persisted_seq"]) >= seq
    yield HopView(Hop.ACCEPTED, True, time=time_text(order["created_at"]), command_id=command)
    yield HopView(Hop.RELAYED, is_relayed, time=time_text_or_none(order["sent_at"]), command_id=command)
    is_matched = order["status"] != OrderStatus.PENDING
    yield HopView(Hop.MATCHED, is_matched, time=time_text_or_none(order["matched_at"]), command_id=command)


def _in_the_market(order: Any, fills: Sequence[Any]) -> Iterator[HopView]:
    """The fills by the trade counter, and by time among them the request to cancel."""
    hops = [(row["at"], _fill(order, row)) for row in fills]
    asked_at, market = order["cancel_requested_at"], order["name"]
    if asked_at is not None:
        command = None if order["cancel_seq"] is None else public_command_id(market, order["cancel_seq"])
        hops.append((asked_at, HopView(Hop.CANCEL_REQUESTED, True, time=time_text(asked_at), command_id=command)))
    return (hop for _, hop in sorted(hops, key=itemgetter(0)))


def _at_its_end(order: Any, seq: int) -> Iterator[HopView]:
    """The end, if it has ended, and whether all events of its own command are persisted."""
    event = order["ended_event_seq"]
    if not OrderStatus(order["status"]).is_live:
        yield HopView(
            Hop.ENDED,
            True,
            time=time_text(order["updated_at"]),
            event_id=None if event is None else public_event_id(order["name"], event),
            reason=None if order["reason"] is None else EndReason(order["reason"]),
        )
    is_persisted, command = order["persisted_seq"] >= seq, public_command_id(order["name"], seq)
    yield HopView(Hop.PERSISTED, is_persisted, time=time_text_or_none(order["persisted_at"]), command_id=command)


def _fill(order: Any, row: Any) -> HopView:
    spec, market = spec_of(order["spec"]), order["name"]
    return HopView(
        Hop.FILLED,
        True,
        time=time_text(row["at"]),
        event_id=public_event_id(market, row["fill_event"]),
        trade_id=public_trade_id(market, row["trade_id"]),
        liquidity_role=LiquidityRole(row["role"]),
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
    )
