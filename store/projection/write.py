"""The statement that writes a batch: every row that its events change or add, the market's own row, and progress.

Rows are passed as JSON (store.projection.columns), so a thousand events cost one round trip. The rows to update are
already locked, in order; the returned counts show whether each of them existed.
"""

import msgspec

from schemas.units import Timestamp, datetime_of, datetime_or_none
from schemas.wire import encode
from store.projection.chain import Progress
from store.projection.columns import sql_fragments
from store.projection.rows import (
    MarketChange,
    MarketUpdate,
    OrderRow,
    OrderUpdate,
    PositionChange,
    PositionUpdate,
    Rows,
    StepOutcome,
    StepUpdate,
    WalletUpdate,
    WrittenRows,
)

LOCK = "SELECT * FROM lock_projection($1::int4, $2::int8[], $3::int8[])"

_TEMPLATE = """
WITH order_rows AS (
  UPDATE orders o SET status = t.status, reason = t.reason, best_opposite = t.best_opposite, remaining = t.remaining,
    filled_lots = t.filled_lots, filled_notional = t.filled_notional, is_live = t.is_live, updated_at = t.updated_at,
    ended_event_seq = t.ended_event_seq, ended_command_seq = t.ended_command_seq, price = coalesce(t.price, o.price),
    moved_event_seq = coalesce(t.moved_event_seq, o.moved_event_seq),
    moved_command_seq = coalesce(t.moved_command_seq, o.moved_command_seq),
    ended_at = CASE WHEN t.is_live THEN NULL ELSE t.updated_at END,
    cancel_requested_at = CASE WHEN o.order_id = ANY(({failed_orders})::int8[]) THEN NULL ELSE o.cancel_requested_at END,
    cancel_seq = CASE WHEN o.order_id = ANY(({failed_orders})::int8[]) THEN NULL ELSE o.cancel_seq END
  FROM {orders} WHERE o.order_id = t.order_id RETURNING 1
), fill_rows AS (
  INSERT INTO fills (market_id, {fills_columns}) SELECT $1::int4, {fills_columns} FROM {fills}
), position_rows AS (
  UPDATE positions p SET lots = coalesce(t.lots, p.lots), cost = coalesce(t.cost, p.cost),
    realized = coalesce(t.realized, p.realized), opened_seq = coalesce(t.opened_seq, p.opened_seq),
    buy_lots = p.buy_lots + t.buy_lots, sell_lots = p.sell_lots + t.sell_lots,
    buy_notional = p.buy_notional + t.buy_notional, sell_notional = p.sell_notional + t.sell_notional,
    open_loss = p.open_loss + t.open_loss, open_fees = p.open_fees + t.open_fees,
    live_orders = p.live_orders + t.live_orders
  FROM {positions} WHERE p.user_id = t.user_id AND p.market_id = $1 RETURNING 1
), fund_row AS (
  -- the insurance fund's first take-over in a market has no order that would have created its row
  INSERT INTO positions (user_id, market_id, leverage, lots, cost, realized, opened_seq)
  SELECT t.user_id, $1, (m.spec->>'leverageMax')::int4, t.lots, t.cost, t.realized, t.opened_seq
  FROM {positions} CROSS JOIN markets m
  WHERE t.user_id = house_account('insurance') AND m.market_id = $1
    AND NOT EXISTS (SELECT FROM positions p WHERE p.user_id = house_account('insurance') AND p.market_id = $1) RETURNING 1
), wallet_rows AS (
  UPDATE accounts a SET wallet = t.wallet FROM {wallets} WHERE a.user_id = t.user_id RETURNING 1
), ledger_rows AS (
  INSERT INTO ledger (market_id, {entries_columns}) SELECT $1, {entries_columns} FROM {entries} ORDER BY t.place
), failure_rows AS (
  INSERT INTO failed_commands (market_id, {failures_columns}) SELECT $1, {failures_columns} FROM {failures}
), premium_rows AS (
  INSERT INTO premiums (market_id, {premiums_columns}) SELECT $1, {premiums_columns} FROM {premiums}
), funding_rows AS (
  INSERT INTO fundings (market_id, {fundings_columns}) SELECT $1, {fundings_columns} FROM {fundings}
), payment_rows AS (
  INSERT INTO funding_payments (market_id, {payments_columns}) SELECT $1, {payments_columns} FROM {payments}
), settlement_rows AS (
  INSERT INTO settlements (market_id, {settlements_columns}) SELECT $1, {settlements_columns} FROM {settlements}
), step_rows AS (
  -- a step's events may come in two batches: their transfers are added
  UPDATE liquidation_steps s SET event_seq = t.event_seq, done_at = coalesce(t.done_at, s.done_at),
    outcome = coalesce(s.outcome, '{{}}') || t.outcome::jsonb || CASE
      WHEN s.outcome ? 'transfers' AND t.outcome::jsonb ? 'transfers'
      THEN jsonb_build_object('transfers', (s.outcome->'transfers') || (t.outcome::jsonb->'transfers')) ELSE '{{}}' END
  FROM {steps} WHERE s.liquidation_id = t.liquidation_id AND s.step = t.step RETURNING 1
), market_row AS (
  UPDATE markets m SET
    status = CASE WHEN m.halted_reason IS NULL THEN coalesce(t.status, m.status) ELSE m.status END,
    operator_status = coalesce(t.operator_status, m.operator_status),
    is_frozen = coalesce(t.is_frozen, m.is_frozen), index_price = coalesce(t.index_price, m.index_price),
    mark = coalesce(t.mark, m.mark), mark_at = coalesce(t.mark_at, m.mark_at),
    price_sources = coalesce(t.price_sources::jsonb, m.price_sources),
    price_quorum = coalesce(t.price_quorum, m.price_quorum), funding_rate = coalesce(t.funding_rate, m.funding_rate),
    predicted_funding_rate = coalesce(t.predicted_funding_rate,
      CASE WHEN NOT t.forgets_prediction THEN m.predicted_funding_rate END),
    next_funding_at = coalesce(t.next_funding_at, m.next_funding_at), rules = coalesce(t.rules, m.rules)
  FROM {market} WHERE m.market_id = $1
), record_rows AS (
  INSERT INTO persisted_records (market_id, {records_columns}, persisted_at)
  SELECT $1, {records_columns}, clock_timestamp() FROM (SELECT * FROM {records}) r
  WHERE EXISTS (SELECT FROM orders o WHERE o.order_id > order_key($1, r.after_seq) AND o.order_id <= order_key($1, r.command_seq))
    OR EXISTS (SELECT FROM {orders} WHERE t.ended_command_seq > r.after_seq AND t.ended_command_seq <= r.command_seq)
  ON CONFLICT DO NOTHING
), progress_row AS (
  UPDATE progress p SET event_seq = $2::int8, command_seq = $3::int8, event_hash = $4::text, at = $5::timestamptz
  WHERE p.market_id = $1 AND p.event_seq = $6::int8 RETURNING 1
)
SELECT (SELECT count(*) FROM order_rows),
  (SELECT count(*) FROM position_rows) + (SELECT count(*) FROM fund_row),
  (SELECT count(*) FROM wallet_rows), (SELECT count(*) FROM step_rows), (SELECT count(*) FROM progress_row)
"""

WRITE = _TEMPLATE.format_map(sql_fragments())


def write_arguments(
    market_id: int, rows: Rows, before: Progress, after: Progress, at: Timestamp
) -> tuple[list[object], tuple[int, ...]]:
    """The arguments of WRITE, and the row counts that it must return."""
    written = WrittenRows(
        orders=[_order_update(order) for order in rows.touched_orders.values()],
        fills=rows.fills,
        positions=[_position_update(change) for change in rows.positions.values()],
        wallets=[WalletUpdate(user, rows.wallets[user]) for user in sorted(rows.touched_wallets)],
        entries=rows.entries,
        failures=rows.failures,
        premiums=rows.premiums,
        fundings=rows.fundings,
        payments=rows.payments,
        settlements=rows.settlements,
        steps=[_step_update(liquidation, step, outcome) for (liquidation, step), outcome in rows.steps.items()],
        market=[] if rows.market == MarketChange() else [_market_update(rows.market)],
        records=rows.records,
    )
    scalars = [market_id, after.event_seq, after.command_seq, after.event_hash, datetime_of(at), before.event_seq]
    counts = (len(written.orders), len(written.positions), len(written.wallets), len(written.steps), 1)
    return [*scalars, *(encode(kind).decode() for kind in written)], counts


def _order_update(order: OrderRow) -> OrderUpdate:
    return OrderUpdate(
        order_id=order.order_id,
        status=str(order.status),
        reason=None if order.reason is None else str(order.reason),
        best_opposite=order.best_opposite,
        remaining=order.remaining,
        filled_lots=order.filled_lots,
        filled_notional=order.filled_notional,
        is_live=order.is_live,
        updated_at=datetime_or_none(order.updated_at),
        ended_event_seq=order.ended_event_seq,
        price=order.price,
        ended_command_seq=order.ended_command_seq,
        moved_event_seq=order.moved_event_seq,
        moved_command_seq=order.moved_command_seq,
    )


def _position_update(change: PositionChange) -> PositionUpdate:
    return PositionUpdate(
        user_id=change.user,
        lots=change.lots,
        cost=change.cost,
        realized=change.realized,
        opened_seq=change.opened_seq,
        buy_lots=change.buy_lots,
        sell_lots=change.sell_lots,
        buy_notional=change.buy_notional,
        sell_notional=change.sell_notional,
        open_loss=change.open_loss,
        open_fees=change.open_fees,
        live_orders=change.live_orders,
    )


def _step_update(liquidation: int, step: int, outcome: StepOutcome) -> StepUpdate:
    facts = outcome.facts | ({"transfers": outcome.transfers} if outcome.transfers else {})
    return StepUpdate(
        liquidation_id=liquidation,
        step=step,
        outcome=msgspec.json.encode(facts).decode(),
        event_seq=outcome.event_seq,
        done_at=datetime_or_none(outcome.done_at),
    )


def _market_update(change: MarketChange) -> MarketUpdate:
    return MarketUpdate(
        status=change.status,
        operator_status=change.operator_status,
        is_frozen=change.is_frozen,
        index_price=change.index,
        mark=change.mark,
        mark_at=datetime_or_none(change.mark_at),
        price_sources=change.price_sources,
        price_quorum=change.price_quorum,
        funding_rate=change.funding_rate,
        predicted_funding_rate=change.predicted_funding_rate,
        next_funding_at=datetime_or_none(change.next_funding_at),
        forgets_prediction=change.forgets_prediction,
        rules=change.rules,
    )
