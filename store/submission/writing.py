"""The second round trip: append the commands, insert orders and margin sums."""

from collections.abc import Sequence
from typing import Any

from schemas.commands import PlaceConditional, PlaceOrder
from schemas.units import Timestamp, datetime_of, datetime_or_none
from schemas.wire import encode
from store.session.connect import Connection
from store.submission.amended_orders import row_of
from store.submission.decisions import Decisions, NewOrder

# Orders and margin sums come as JSON, each row an array: encoding twenty column arrays takes asyncpg seven times as long.
# Integers are read with `->>`, as text, so none becomes a float.
# Only the holder of an account's lock writes its positions and orders, so there is nothing to wait for here.
_WRITE = """
WITH counter AS MATERIALIZED (
  SELECT a.market_id, min(a.command_seq) - 1 AS base, min(a.at) AS at
  FROM number_commands($2::int4[], array_fill($1::timestamptz, ARRAY[cardinality($2)]), $3::bytea[]) a
  GROUP BY a.market_id),
exposure AS (
  INSERT INTO positions AS p (user_id, market_id, leverage, buy_notional, sell_notional, open_loss, open_fees,
    buy_lots, sell_lots, live_orders)
  SELECT (e->>0)::int8, (e->>1)::int4, (e->>2)::int4, (e->>3)::int8, (e->>4)::int8, (e->>5)::int8, (e->>6)::int8,
    (e->>7)::int8, (e->>8)::int8, (e->>9)::int4
  FROM jsonb_array_elements($5::jsonb) AS e
  ON CONFLICT (user_id, market_id) DO UPDATE SET
    leverage = excluded.leverage,
    buy_notional = p.buy_notional + excluded.buy_notional, sell_notional = p.sell_notional + excluded.sell_notional,
    open_loss = p.open_loss + excluded.open_loss, open_fees = p.open_fees + excluded.open_fees,
    buy_lots = p.buy_lots + excluded.buy_lots, sell_lots = p.sell_lots + excluded.sell_lots,
    live_orders = p.live_orders + excluded.live_orders),
placed AS (
  INSERT INTO orders (order_id, user_id, market_id, side, type, time_in_force, self_trade_prevention, post_only,
    reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, leverage, client_order_id,
    request_hash, expires_at, valid_until, max_slippage, created_at, updated_at, is_live, is_waiting, working_type,
    trigger_price, callback_rate, activation_price, closes_position, oco_group, parent_order_id, take_profit_order_id,
    stop_loss_order_id)
  SELECT order_key(t.market_id, c.base + t.number), t.user_id, t.market_id, t.side, t.type, t.time_in_force,
    t.self_trade_prevention, t.post_only, t.reduce_only, t.quantity, t.quantity, t.price, t.margin_price,
    t.loss_per_lot, t.fee_per_lot, t.leverage, t.client_order_id, t.request_hash, t.expires_at, t.valid_until, t.max_slippage,
    c.at, c.at, t.working_type IS NULL, t.working_type IS NOT NULL, t.working_type,
    t.trigger_price, t.callback_rate, t.activation_price, coalesce(t.closes_position, false),
    -- the group of attached orders is named after their parent, whose number is known only here
    coalesce(t.oco_group, 'order:' || (c.base + t.number + t.parent_after)),
    order_key(t.market_id, c.base + t.number + t.parent_after), order_key(t.market_id, c.base + t.take_profit),
    order_key(t.market_id, c.base + t.stop_loss)
  FROM (
    SELECT (e->>0)::int4 AS market_id, (e->>1)::int4 AS number, (e->>2)::int8 AS user_id, e->>3 AS side, e->>4 AS type,
      e->>5 AS time_in_force, e->>6 AS self_trade_prevention, (e->>7)::bool AS post_only, (e->>8)::bool AS reduce_only,
      (e->>9)::int8 AS quantity, (e->>10)::int8 AS price, (e->>11)::int8 AS margin_price,
      (e->>12)::int8 AS loss_per_lot, (e->>13)::int8 AS fee_per_lot, (e->>14)::int4 AS leverage,
      e->>15 AS client_order_id, decode(e->>16, 'base64') AS request_hash, (e->>17)::timestamptz AS expires_at,
      (e->>18)::timestamptz AS valid_until, (e->>19)::int4 AS max_slippage, e->>20 AS oco_group,
      (e->>21)::int4 AS take_profit, (e->>22)::int4 AS stop_loss, e->>23 AS working_type, (e->>24)::int8 AS trigger_price,
      (e->>25)::int4 AS callback_rate, (e->>26)::int8 AS activation_price, (e->>27)::bool AS closes_position,
      (e->>28)::int4 AS parent_after
    FROM jsonb_array_elements($4::jsonb) AS e) AS t
  JOIN counter c ON c.market_id = t.market_id),
cancelled AS (
  UPDATE orders o SET cancel_requested_at = c.at, updated_at = c.at, cancel_seq = c.base + t.number
  FROM unnest($6::int8[], $7::int4[], $8::int8[]) AS t (order_id, market_id, number)
  JOIN counter c ON c.market_id = t.market_id
  WHERE o.order_id = t.order_id){amended}
SELECT market_id, base FROM counter
"""
# While an amend is under way, the order's terms are what it counts with; the triggers of reduce-only orders follow.
_AMENDED = """,
asked AS (
  SELECT (e->>0)::int8 AS order_id, c.base + (e->>2)::int4 AS seq, c.at, (e->>3)::int8 AS price, (e->>4)::int8 AS added,
    (e->>5)::int8 AS lots, (e->>6)::int8 AS margin_price, (e->>7)::int8 AS loss, (e->>8)::int8 AS fee, (e->>9)::int8 AS excess,
    (e->>10)::int8 AS old_margin_price, (e->>11)::int8 AS old_loss, (e->>12)::int8 AS old_fee, (e->>13)::int8 AS old_excess,
    (e->>14)::int8 AS new_margin_price, (e->>15)::int8 AS new_loss, (e->>16)::int8 AS new_fee, (e->>17)::int8 AS new_excess,
    (e->>18)::int8 AS trigger_price, (e->>19)::boolean AS was_waiting
  FROM jsonb_array_elements($9::jsonb) AS e JOIN counter c ON c.market_id = (e->>1)::int4),
kept AS (
  INSERT INTO amends (order_id, command_seq, requested_at, price, added, old_margin_price, old_loss_per_lot, old_fee_per_lot,
    old_excess_per_lot, new_margin_price, new_loss_per_lot, new_fee_per_lot, new_excess_per_lot,
    trigger_price, was_waiting)
  SELECT order_id, seq, at, price, added, old_margin_price, old_loss, old_fee, old_excess, new_margin_price, new_loss, new_fee,
    new_excess, trigger_price, was_waiting FROM asked),
amended AS (
  UPDATE orders o SET amend_seq = a.seq, amend_lots = a.lots, amend_count = o.amend_count + 1, updated_at = a.at,
    margin_price = a.margin_price, loss_per_lot = a.loss, fee_per_lot = a.fee, excess_per_lot = a.excess
  FROM asked a WHERE o.order_id = a.order_id)"""
WRITE = _WRITE.format(amended="")
WRITE_WITH_AMENDS = _WRITE.format(amended=_AMENDED)


async def write_decisions(connection: Connection, decisions: Decisions, now: Timestamp) -> dict[int, int]:
    """Write all decisions in one statement; returns, per market, the last command sequence before this batch."""
    commands = [*decisions.cancels, *decisions.placed]  # numbered in this order
    amends = (_rows([row_of(amend) for amend in decisions.amends]),) if decisions.amends else ()
    rows = await connection.fetch(
        WRITE_WITH_AMENDS if amends else WRITE,
        datetime_of(now),
        [command.market_id for command in commands],
        [encode(command.command) for command in commands],
        _rows([_order_row(order) for order in decisions.orders]),
        _rows(list(decisions.exposure_changes())),
        [order for cancel in decisions.cancels for order in cancel.orders],
        [cancel.market_id for cancel in decisions.cancels for _ in cancel.orders],
        [cancel.number for cancel in decisions.cancels for _ in cancel.orders],
        *amends,
    )
    return {row["market_id"]: row["base"] for row in rows}


def _order_row(order: NewOrder) -> tuple[Any, ...]:
    """The columns in their places. Most orders have nothing past the first twenty, and end there."""
    command = order.command
    terms = (0, 0, 0) if isinstance(command, PlaceConditional) else _terms(command)
    row = (
        order.market_id,
        order.number,
        command.user,
        command.side,
        command.order_type,
        command.time_in_force,
        command.self_trade_prevention,
        command.post_only,
        command.reduce_only,
        command.quantity,
        command.price,
        *terms,
        order.leverage,
        command.client_order_id,
        order.hash,
        datetime_or_none(command.expires_at),
        datetime_or_none(command.valid_until),
        order.max_slippage,
    )
    links = (command.oco_group or None, order.take_profit, order.stop_loss)
    if isinstance(command, PlaceConditional):
        return (*row, *links, *_condition(command))
    return row if links == (None, None, None) else (*row, *links)


def _terms(command: PlaceOrder) -> tuple[int, int, int]:
    return command.margin_price, command.loss_per_lot, command.fee_per_lot


def _condition(command: PlaceConditional) -> tuple[Any, ...]:
    return (
        command.working_type,
        command.trigger or None,
        command.callback_rate or None,
        command.activation or None,
        command.closes_position,
        command.parent_after or None,
    )


def _rows(rows: Sequence[tuple[Any, ...]]) -> str:
    """Rows as a JSON array of arrays; bytes in it are base64, times ISO 8601."""
    return encode(rows).decode()
