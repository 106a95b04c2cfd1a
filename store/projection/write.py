"""The one statement that writes a batch: orders, fills, positions, wallets, ledger, failed commands, market, progress.

Rows travel as columns (`unnest`), one array a column, so that a thousand events cost one round trip. The rows that are
updated have been locked in order before; the counts that come back say whether each of them was there.
"""

from collections.abc import Sequence
from datetime import datetime

from schemas.units import Timestamp, datetime_of
from store.projection.chain import Progress
from store.projection.rows import MarketChange, OrderRow, PositionChange, Rows

LOCK = "SELECT * FROM lock_projection($1::int4, $2::int8[], $3::int8[])"

WRITE = """
WITH order_rows AS (
  UPDATE orders o SET status = t.status, reason = t.reason, best_opposite = t.best_opposite, remaining = t.remaining,
    filled_lots = t.filled_lots, filled_notional = t.filled_notional, is_live = t.is_live, updated_at = t.updated_at,
    cancel_requested_at = CASE WHEN o.order_id = ANY($57::int8[]) THEN NULL ELSE o.cancel_requested_at END,
    cancel_seq = CASE WHEN o.order_id = ANY($57::int8[]) THEN NULL ELSE o.cancel_seq END
  FROM unnest($7::int8[], $8::text[], $9::text[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::bool[],
    $15::timestamptz[]) t(order_id, status, reason, best_opposite, remaining, filled_lots, filled_notional, is_live,
    updated_at)
  WHERE o.order_id = t.order_id RETURNING 1
), fill_rows AS (
  INSERT INTO fills (market_id, trade_id, role, event_seq, order_id, user_id, side, price, quantity, notional, fee,
    realized, cause, at)
  SELECT $1::int4, * FROM unnest($16::int8[], $17::text[], $18::int8[], $19::int8[], $20::int8[], $21::text[],
    $22::int8[], $23::int8[], $24::int8[], $25::int8[], $26::int8[], $27::text[], $28::timestamptz[])
), position_rows AS (
  UPDATE positions p SET lots = coalesce(t.lots, p.lots), cost = coalesce(t.cost, p.cost),
    realized = coalesce(t.realized, p.realized), buy_lots = p.buy_lots + t.buy_lots,
    sell_lots = p.sell_lots + t.sell_lots, buy_notional = p.buy_notional + t.buy_notional,
    sell_notional = p.sell_notional + t.sell_notional, open_loss = p.open_loss + t.open_loss,
    open_fees = p.open_fees + t.open_fees, live_orders = p.live_orders + t.live_orders
  FROM unnest($29::int8[], $30::int8[], $31::int8[], $32::int8[], $33::int8[], $34::int8[], $35::int8[], $36::int8[],
    $37::int8[], $38::int8[], $39::int4[]) t(user_id, lots, cost, realized, buy_lots, sell_lots, buy_notional,
    sell_notional, open_loss, open_fees, live_orders)
  WHERE p.user_id = t.user_id AND p.market_id = $1 RETURNING 1
), wallet_rows AS (
  UPDATE accounts a SET wallet = t.wallet FROM unnest($40::int8[], $41::int8[]) t(user_id, wallet)
  WHERE a.user_id = t.user_id RETURNING 1
), ledger_rows AS (
  INSERT INTO ledger (market_id, account, type, cause, amount, balance_after, event_seq, trade_id, at)
  SELECT $1, t.account, t.type, t.cause, t.amount, t.balance_after, t.event_seq, t.trade_id, t.at
  FROM unnest($42::int8[], $43::text[], $44::text[], $45::int8[], $46::int8[], $47::int8[], $48::int8[],
    $49::timestamptz[]) WITH ORDINALITY t(account, type, cause, amount, balance_after, event_seq, trade_id, at, place)
  ORDER BY t.place
), failure_rows AS (
  INSERT INTO failed_commands (market_id, command_seq, event_seq, user_id, order_id, at)
  SELECT $1, * FROM unnest($54::int8[], $55::int8[], $56::int8[], $57::int8[], $58::timestamptz[])
), market_row AS (
  UPDATE markets m SET status = CASE WHEN m.halted_reason IS NULL THEN coalesce($50::text, m.status) ELSE m.status END,
    index_price = coalesce($51::int8, m.index_price), mark = coalesce($52::int8, m.mark), mark_at = coalesce($53::timestamptz, m.mark_at),
    rules = coalesce($59::int4, m.rules)
  WHERE m.market_id = $1 AND ($50::text IS NOT NULL OR $51::int8 IS NOT NULL OR $59::int4 IS NOT NULL)
), progress_row AS (
  UPDATE progress p SET event_seq = $2::int8, command_seq = $3::int8, event_hash = $4::text, at = $5::timestamptz
  WHERE p.market_id = $1 AND p.event_seq = $6::int8 RETURNING 1
)
SELECT (SELECT count(*) FROM order_rows), (SELECT count(*) FROM position_rows), (SELECT count(*) FROM wallet_rows),
  (SELECT count(*) FROM progress_row)
"""

_ORDER_COLUMNS, _FILL_COLUMNS, _POSITION_COLUMNS, _WALLET_COLUMNS, _ENTRY_COLUMNS, _FAILURE_COLUMNS = 9, 13, 11, 2, 8, 5


def write_arguments(
    market_id: int, rows: Rows, before: Progress, after: Progress, at: Timestamp
) -> tuple[list[object], tuple[int, ...]]:
    """Arguments of WRITE, and the counts of rows that it must answer."""
    orders = [_order_columns(order) for order in rows.touched_orders.values()]
    positions = [_position_columns(position) for position in rows.positions.values()]
    wallets = [(user, rows.wallets[user]) for user in sorted(rows.touched_wallets)]
    arguments: list[object] = [market_id, after.event_seq, after.command_seq, after.event_hash, datetime_of(at)]
    arguments.append(before.event_seq)
    arguments += _columns(orders, _ORDER_COLUMNS) + _columns(rows.fills, _FILL_COLUMNS)
    arguments += _columns(positions, _POSITION_COLUMNS) + _columns(wallets, _WALLET_COLUMNS)
    arguments += _columns(rows.entries, _ENTRY_COLUMNS) + _market_columns(rows.market)
    arguments += _columns(rows.failures, _FAILURE_COLUMNS)
    arguments.append(rows.market.rules)
    return arguments, (len(orders), len(positions), len(wallets), 1)


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[object]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _order_columns(order: OrderRow) -> tuple[object, ...]:
    reason = None if order.reason is None else str(order.reason)
    ended = (order.order_id, str(order.status), reason, order.best_opposite)
    filled = (order.remaining, order.filled_lots, order.filled_notional)
    return (*ended, *filled, order.is_live, _moment(order.updated_at))


def _position_columns(change: PositionChange) -> tuple[object, ...]:
    held = (change.user, change.lots, change.cost, change.realized)
    sums = (change.buy_lots, change.sell_lots, change.buy_notional, change.sell_notional)
    return (*held, *sums, change.open_loss, change.open_fees, change.live_orders)


def _market_columns(change: MarketChange) -> list[object]:
    return [change.status, change.index, change.mark, _moment(change.mark_at)]


def _moment(at: Timestamp | None) -> datetime | None:
    return None if at is None else datetime_of(at)
