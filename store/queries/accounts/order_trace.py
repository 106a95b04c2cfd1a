"""Every hop of one order, from the tables only: a hop without a row has no time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from schemas.ids import (
    parse_public_order_id,
    public_command_id,
    public_event_id,
    public_order_id,
    public_trade_id,
    seq_of_order_key,
)
from schemas.orders import AmendRefusal, AmendVerdict, EndReason, LiquidityRole, OrderStatus
from schemas.rest.order_trace import AmendView, Clock, Hop, HopView, OrderTraceView
from schemas.wire import COMMANDS_PER_RECORD_MAX
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text, time_text_or_none
from store.session.connect import Session

FILLS_MAX = 500

_RECORD_OF = """
  SELECT * FROM persisted_records z WHERE z.market_id = o.market_id AND z.command_seq >= {command} ORDER BY z.command_seq LIMIT 1
"""
"""The first kept record that reaches a command; it has the command's events if it begins before it."""
_TAKER_COMMAND = """
  coalesce((SELECT max(a.command_seq) FROM amends a WHERE a.order_id = q.order_id AND a.verdict = 'DONE'
    AND NOT a.was_waiting AND a.event_seq < y.event_seq), CASE WHEN q.working_type IS NULL THEN seq_of_order_key(q.order_id)
    WHEN q.activated_command_seq IS NOT NULL THEN q.activated_command_seq
    WHEN q.type IN ('STOP', 'TAKE_PROFIT') THEN q.triggered_command_seq END)
"""
"""The command by which a taker entered the book, or by which it did so again, amended.

A protective order is tried again by later ones, which are not stored.
"""
_READ = f"""
SELECT o.order_id, o.status, o.reason, o.client_order_id, o.created_at, o.updated_at, o.cancel_requested_at, o.cancel_seq,
  m.name, m.spec::text AS spec, c.command_seq AS accepted_seq, r.command_seq AS relayed_seq,
  p.command_seq AS persisted_seq, p.event_seq, o.ended_event_seq, o.ended_command_seq, s.sent_at, w.matched_at, w.persisted_at,
  e.matched_at AS ended_logged_at,
  o.triggered_command_seq, o.triggered_event_seq, o.triggered_working_price, o.activated_command_seq, o.price AS own_price,
  t.matched_at AS triggered_logged_at, v.matched_at AS activated_logged_at, f.*
FROM orders o JOIN markets m USING (market_id) JOIN counters c USING (market_id) JOIN relay_cursors r USING (market_id)
JOIN progress p USING (market_id)
CROSS JOIN LATERAL (
  -- a record that is sent again need not start where the first one did
  SELECT min(y.sent_at) AS sent_at FROM relayed_records y
  WHERE y.market_id = o.market_id AND y.command_seq BETWEEN $2 AND $2 + {COMMANDS_PER_RECORD_MAX} - 1 AND y.after_seq < $2) s
LEFT JOIN LATERAL ({_RECORD_OF.format(command="$2")}) w ON w.after_seq < $2
LEFT JOIN LATERAL ({_RECORD_OF.format(command="o.ended_command_seq")}) e ON e.after_seq < o.ended_command_seq
LEFT JOIN LATERAL ({_RECORD_OF.format(command="o.triggered_command_seq")}) t ON t.after_seq < o.triggered_command_seq
LEFT JOIN LATERAL ({_RECORD_OF.format(command="o.activated_command_seq")}) v ON v.after_seq < o.activated_command_seq
LEFT JOIN LATERAL (
  SELECT y.trade_id, y.role, y.event_seq AS fill_event, y.price, y.quantity, k.taker_command,
    CASE WHEN r.after_seq < k.taker_command THEN r.matched_at END AS fill_logged_at
  FROM fills y LEFT JOIN fills x ON x.market_id = y.market_id AND x.trade_id = y.trade_id AND x.role = 'TAKER'
  LEFT JOIN orders q ON q.order_id = x.order_id
  CROSS JOIN LATERAL (SELECT {_TAKER_COMMAND} AS taker_command) k
  LEFT JOIN LATERAL ({_RECORD_OF.format(command="k.taker_command")}) r ON true
  WHERE y.order_id = o.order_id ORDER BY y.trade_id LIMIT {FILLS_MAX + 1}) f ON true
WHERE m.name = $1 AND o.order_id = order_key(m.market_id, $2) AND ($3::int8 IS NULL OR o.user_id = $3)
"""  # noqa: S608 - constants of ours

_READ_AMENDS = "SELECT * FROM amends WHERE order_id = $1 ORDER BY command_seq"


async def read_order_trace(session: Session, user: int | None, order_id: str) -> OrderTraceView | None:
    """The hops of a user's order by its public id, of anybody's where no user is given; None for unknown ids and for orders of others."""
    parsed = parse_public_order_id(order_id)
    if parsed is None:
        return None
    rows = await session.fetch(_READ, storable(parsed[0]), parsed[1], user)
    if not rows:
        return None
    return _view(rows, await session.fetch(_READ_AMENDS, rows[0]["order_id"]))


def _view(rows: Sequence[Any], amends: Sequence[Any]) -> OrderTraceView:
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
        hops=_hops(order, seq, fills[:FILLS_MAX]),
        has_more_fills=len(fills) > FILLS_MAX,
        amends=[_amend(order, row) for row in amends],
    )


def _amend(order: Any, row: Any) -> AmendView:
    spec, market = spec_of(order["spec"]), order["name"]

    def price(ticks: int | None) -> str | None:
        return None if ticks is None else price_text(spec, ticks)

    def own_price(ticks: int | None) -> str | None:
        return price(ticks or None)  # an order without a limit has none

    quantity = row["amended_quantity"]
    return AmendView(
        command_id=public_command_id(market, row["command_seq"]),
        requested_at=time_text(row["requested_at"]),
        added_quantity=quantity_text(spec, row["added"]),
        verdict=AmendVerdict(row["verdict"]),
        price=price(row["price"]),
        reason=None if row["reason"] is None else AmendRefusal(row["reason"]),
        best_opposite_price=price(row["best_opposite"]),
        amended_price=own_price(row["amended_price"]),
        amended_quantity=None if quantity is None else quantity_text(spec, quantity),
        trigger_price=price(row["trigger_price"]),
        amended_trigger_price=price(row["amended_trigger"]),
        event_id=None if row["event_seq"] is None else public_event_id(market, row["event_seq"]),
    )


class _Timed(NamedTuple):
    """A hop with the time it sorts by; hops of the same time, and those without one, keep the order in which they are built."""

    hop: HopView
    at: datetime | None


def _hops(order: Any, seq: int, fills: Sequence[Any]) -> list[HopView]:
    """The hops in time order. One without a time follows the one before it in the log; those that are not done come last."""
    built = list(_in_the_log(order, seq, fills))
    done, times = [timed for timed in built if timed.hop.is_done], list[datetime]()
    for timed in done:
        times.append(timed.at or (times[-1] if times else order["created_at"]))
    in_time = sorted(zip(times, done, strict=True), key=itemgetter(0))
    return [*(timed.hop for _, timed in in_time), *(timed.hop for timed in built if not timed.hop.is_done)]


def _in_the_log(order: Any, seq: int, fills: Sequence[Any]) -> Iterator[_Timed]:
    """Its own command, with what that led to, until it is persisted; then what later commands did."""
    own = public_command_id(order["name"], seq)
    events = list(_in_the_market(order, fills))
    at_once = [timed for timed in events if timed.hop.event_id is not None and timed.hop.command_id == own]
    yield from _on_its_way(order, seq)
    yield from at_once
    is_persisted = order["persisted_seq"] >= seq
    yield _hop(order, Hop.PERSISTED, Clock.DATABASE, order["persisted_at"], seq, is_done=is_persisted)
    yield from (timed for timed in events if timed not in at_once)


def _on_its_way(order: Any, seq: int) -> Iterator[_Timed]:
    """Its own command. Relayed means before the relay's cursor, or persisted: a rebuild sets the cursor back."""
    is_relayed = max(order["relayed_seq"], order["persisted_seq"]) >= seq
    is_matched = order["status"] != OrderStatus.PENDING
    yield _hop(order, Hop.ACCEPTED, Clock.SENDER, order["created_at"], seq)
    yield _hop(order, Hop.RELAYED, Clock.RELAY, order["sent_at"], seq, is_done=is_relayed)
    yield _hop(order, Hop.MATCHED, Clock.ENGINE, order["matched_at"], seq, is_done=is_matched)


def _in_the_market(order: Any, fills: Sequence[Any]) -> Iterator[_Timed]:
    """The trigger and the activation, the fills by the trade counter, the request to cancel, and the end."""
    if order["triggered_event_seq"] is not None:
        yield _triggered(order)
    if order["activated_command_seq"] is not None:
        yield _activated(order)
    for row in fills:
        yield _fill(order, row)
    if order["cancel_requested_at"] is not None:
        yield _hop(order, Hop.CANCEL_REQUESTED, Clock.SENDER, order["cancel_requested_at"], order["cancel_seq"])
    if OrderStatus(order["status"]).is_open:
        return
    event, reason = order["ended_event_seq"], order["reason"]
    yield _hop(
        order,
        Hop.ENDED,
        Clock.ENGINE,
        order["ended_logged_at"],
        order["ended_command_seq"],
        event_id=None if event is None else public_event_id(order["name"], event),
        reason=None if reason is None else EndReason(reason),
    )


def _hop(
    order: Any, hop: Hop, clock: Clock, at: datetime | None, command: int | None, *, is_done: bool = True, **facts: Any
) -> _Timed:
    named = None if command is None else public_command_id(order["name"], command)
    shown = None if at is None else clock
    return _Timed(HopView(hop, is_done, time=time_text_or_none(at), clock=shown, command_id=named, **facts), at)


def _triggered(order: Any) -> _Timed:
    return _hop(
        order,
        Hop.TRIGGERED,
        Clock.ENGINE,
        order["triggered_logged_at"],
        order["triggered_command_seq"],
        event_id=public_event_id(order["name"], order["triggered_event_seq"]),
        price=price_text(spec_of(order["spec"]), order["triggered_working_price"]),
    )


def _activated(order: Any) -> _Timed:
    seq = order["activated_command_seq"]
    return _hop(
        order,
        Hop.ACTIVATED,
        Clock.ENGINE,
        order["activated_logged_at"],
        seq,
        is_done=order["persisted_seq"] >= seq,
        price=price_text(spec_of(order["spec"]), order["own_price"]) if order["own_price"] else None,
    )


def _fill(order: Any, row: Any) -> _Timed:
    spec, market = spec_of(order["spec"]), order["name"]
    return _hop(
        order,
        Hop.FILLED,
        Clock.ENGINE,
        row["fill_logged_at"],
        row["taker_command"],
        event_id=public_event_id(market, row["fill_event"]),
        trade_id=public_trade_id(market, row["trade_id"]),
        liquidity_role=LiquidityRole(row["role"]),
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
    )
