"""The statement that writes a batch: every row that its events change or add, the rows of its markets, and their progress.

Rows are passed as JSON (store.projection.columns), so a thousand events cost one round trip. The rows to update are
already locked; the returned counts show whether each of them existed.

A statement has only the parts for which the batch has rows: starting a part costs PostgreSQL as much as writing a row, and most
batches have rows of few kinds.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import NamedTuple

import msgspec

from schemas.ids import INSURANCE_FUND
from schemas.units import Timestamp, datetime_of, datetime_or_none
from schemas.wire import encode
from store.projection.chain import Progress
from store.projection.columns import sql_fragments
from store.projection.rows import (
    ConditionalUpdate,
    MarketChange,
    MarketUpdate,
    OrderRow,
    OrderUpdate,
    ProgressUpdate,
    Rows,
    StepOutcome,
    StepUpdate,
    WalletUpdate,
    WrittenRows,
)

LOCK = "SELECT * FROM lock_rows_of_events($1::int4[], $2::int8[], $3::int8[])"

MARK = "/* projection */ "
"""How every statement of `statement_for` begins, wherever statements are listed."""
_FUND = "fund"
_FREED = "freed"
_PARTS = {
    "orders": """order_rows AS (
  UPDATE orders o SET status = t.status, reason = t.reason, best_opposite = t.best_opposite, remaining = t.remaining,
    filled_lots = t.filled_lots, filled_notional = t.filled_notional, is_live = t.is_live, updated_at = t.updated_at,
    ended_event_seq = t.ended_event_seq, ended_command_seq = t.ended_command_seq, price = coalesce(t.price, o.price),
    moved_event_seq = coalesce(t.moved_event_seq, o.moved_event_seq),
    moved_command_seq = coalesce(t.moved_command_seq, o.moved_command_seq),
    ended_at = CASE WHEN t.is_live THEN NULL ELSE t.updated_at END{freed}{amended_terms}{amend_ended}
  FROM {orders}{amended_join} WHERE o.order_id = t.order_id RETURNING 1
)""",
    "amends": """amend_rows AS (
  UPDATE amends a SET verdict = t.verdict, reason = t.reason, best_opposite = t.best_opposite, event_seq = t.event_seq,
    amended_price = t.amended_price, amended_quantity = t.amended_quantity, amended_trigger = t.amended_trigger
  FROM {amends} WHERE a.order_id = t.order_id AND a.command_seq = t.command_seq RETURNING 1
)""",
    "conditionals": """conditional_rows AS (
  UPDATE orders o SET status = t.status, reason = t.reason, best_opposite = t.best_opposite, remaining = t.remaining,
    filled_lots = t.filled_lots, filled_notional = t.filled_notional, is_live = t.is_live, updated_at = t.updated_at,
    ended_event_seq = t.ended_event_seq, ended_command_seq = t.ended_command_seq, price = coalesce(t.price, o.price),
    moved_event_seq = coalesce(t.moved_event_seq, o.moved_event_seq),
    moved_command_seq = coalesce(t.moved_command_seq, o.moved_command_seq),
    ended_at = CASE WHEN NOT t.is_live AND NOT t.is_waiting THEN t.updated_at END, is_waiting = t.is_waiting,
    quantity = t.quantity, margin_price = t.margin_price, loss_per_lot = t.loss_per_lot, fee_per_lot = t.fee_per_lot,
    triggered_at = coalesce(t.triggered_at, o.triggered_at),
    triggered_working_price = coalesce(t.triggered_working_price, o.triggered_working_price),
    triggered_event_seq = coalesce(t.triggered_event_seq, o.triggered_event_seq),
    triggered_command_seq = coalesce(t.triggered_command_seq, o.triggered_command_seq),
    trigger_price = coalesce(t.trigger_price, o.trigger_price){freed}{amend_ended}
  FROM {conditionals}{amended_join} WHERE o.order_id = t.order_id RETURNING 1
)""",
    "fills": """fill_rows AS (
  INSERT INTO fills ({fills_columns}) SELECT {fills_columns} FROM {fills}
)""",
    "positions": """position_rows AS (
  UPDATE positions p SET lots = coalesce(t.lots, p.lots), cost = coalesce(t.cost, p.cost),
    realized = coalesce(t.realized, p.realized), opened_seq = coalesce(t.opened_seq, p.opened_seq),
    buy_lots = p.buy_lots + t.buy_lots, sell_lots = p.sell_lots + t.sell_lots,
    buy_notional = p.buy_notional + t.buy_notional, sell_notional = p.sell_notional + t.sell_notional,
    open_loss = p.open_loss + t.open_loss, open_fees = p.open_fees + t.open_fees,
    live_orders = p.live_orders + t.live_orders
  FROM {positions} WHERE p.user_id = t.user_id AND p.market_id = t.market_id RETURNING 1
)""",
    _FUND: """fund_rows AS (
  -- the insurance fund's first take-over in a market has no order that would have created its row
  INSERT INTO positions (user_id, market_id, leverage, lots, cost, realized, opened_seq)
  SELECT t.user_id, t.market_id, (m.spec->>'leverageMax')::int4, t.lots, t.cost, t.realized, t.opened_seq
  FROM {positions} JOIN markets m ON m.market_id = t.market_id
  WHERE t.user_id = house_account('insurance')
    AND NOT EXISTS (SELECT FROM positions p WHERE p.user_id = house_account('insurance') AND p.market_id = t.market_id)
  RETURNING 1
)""",
    "wallets": """wallet_rows AS (
  -- not a join: for one, a plan made when there were few accounts reads all accounts, again for each row
  UPDATE accounts a SET wallet = ((SELECT jsonb_object_agg(t.user_id, t.wallet) FROM {wallets})->>a.user_id::text)::int8
  WHERE a.user_id = ANY(ARRAY(SELECT t.user_id FROM {wallets})) RETURNING 1
)""",
    "entries": """ledger_rows AS (
  INSERT INTO ledger ({entries_columns}) SELECT {entries_columns} FROM {entries} ORDER BY t.place
)""",
    "failures": """failure_rows AS (
  -- a command that cancels several orders has a row for each of them
  INSERT INTO failed_commands ({failures_columns}) SELECT {failures_columns} FROM {failures}
  ON CONFLICT DO NOTHING
), failed_amends AS (
  UPDATE amends a SET verdict = 'REFUSED', reason = 'INTERNAL', event_seq = t.event_seq
  FROM {failures} WHERE a.order_id = t.order_id AND a.command_seq = t.command_seq
)""",
    "countdowns": """countdown_rows AS (
  INSERT INTO countdowns ({countdowns_columns})
  SELECT {countdowns_columns} FROM {countdowns} WHERE t.deadline IS NOT NULL
  ON CONFLICT (market_id, user_id) DO UPDATE SET deadline = excluded.deadline, scope = excluded.scope
), stopped_countdown_rows AS (
  DELETE FROM countdowns c USING {countdowns}
  WHERE c.market_id = t.market_id AND c.user_id = t.user_id AND t.deadline IS NULL
)""",
    "premiums": """premium_rows AS (
  INSERT INTO premiums ({premiums_columns}) SELECT {premiums_columns} FROM {premiums}
)""",
    "fundings": """funding_rows AS (
  INSERT INTO fundings ({fundings_columns}) SELECT {fundings_columns} FROM {fundings}
)""",
    "payments": """payment_rows AS (
  INSERT INTO funding_payments ({payments_columns}) SELECT {payments_columns} FROM {payments}
)""",
    "settlements": """settlement_rows AS (
  INSERT INTO settlements ({settlements_columns}) SELECT {settlements_columns} FROM {settlements}
)""",
    "steps": """step_rows AS (
  -- a step's events may come in two batches: their transfers are added
  UPDATE liquidation_steps s SET event_seq = t.event_seq, done_at = coalesce(t.done_at, s.done_at),
    outcome = coalesce(s.outcome, '{{}}') || t.outcome::jsonb || CASE
      WHEN s.outcome ? 'transfers' AND t.outcome::jsonb ? 'transfers'
      THEN jsonb_build_object('transfers', (s.outcome->'transfers') || (t.outcome::jsonb->'transfers')) ELSE '{{}}' END
  FROM {steps} WHERE s.liquidation_id = t.liquidation_id AND s.step = t.step RETURNING 1
)""",
    "market": """market_rows AS (
  UPDATE markets m SET
    status = CASE WHEN m.halted_reason IS NULL THEN coalesce(t.status, m.status) ELSE m.status END,
    operator_status = coalesce(t.operator_status, m.operator_status),
    is_frozen = coalesce(t.is_frozen, m.is_frozen), index_price = coalesce(t.index_price, m.index_price),
    mark = coalesce(t.mark, m.mark), mark_at = coalesce(t.mark_at, m.mark_at),
    price_sources = coalesce(t.price_sources::jsonb, m.price_sources),
    price_quorum = coalesce(t.price_quorum, m.price_quorum), funding_rate = coalesce(t.funding_rate, m.funding_rate),
    predicted_funding_rate = coalesce(t.predicted_funding_rate,
      CASE WHEN NOT t.forgets_prediction THEN m.predicted_funding_rate END),
    next_funding_at = coalesce(t.next_funding_at, m.next_funding_at), rules = coalesce(t.rules, m.rules),
    spec = coalesce(t.spec::jsonb, m.spec), spec_seq = coalesce(t.spec_seq, m.spec_seq)
  FROM {market} WHERE m.market_id = t.market_id
)""",
    "records": """record_rows AS (
  INSERT INTO persisted_records (market_id, command_seq, after_seq, matched_at, persisted_at)
  SELECT t.market_id, t.command_seq, t.after_seq, t.matched_at, clock_timestamp() FROM {records}
  WHERE t.is_of_orders OR EXISTS (SELECT FROM orders o
    WHERE o.order_id > order_key(t.market_id, t.after_seq) AND o.order_id <= order_key(t.market_id, t.command_seq))
  ON CONFLICT DO NOTHING
)""",
    "progress": """progress_rows AS (
  UPDATE progress p SET event_seq = t.event_seq, command_seq = t.command_seq, event_hash = t.event_hash, at = t.at,
    open_interest_seq = t.event_seq, open_interest = t.open_interest +
      CASE WHEN p.open_interest_seq = t.before THEN p.open_interest ELSE sum_open_interest(t.market_id) END
  FROM {progress} WHERE p.market_id = t.market_id AND p.event_seq = t.before RETURNING 1
)""",
}
_COUNTS = {
    "orders": "(SELECT count(*) FROM order_rows)",
    "conditionals": "(SELECT count(*) FROM conditional_rows)",
    "amends": "(SELECT count(*) FROM amend_rows)",
    "positions": "(SELECT count(*) FROM position_rows)",
    "wallets": "(SELECT count(*) FROM wallet_rows)",
    "steps": "(SELECT count(*) FROM step_rows)",
    "progress": "(SELECT count(*) FROM progress_rows)",
}
_COUNT_FUND = " + (SELECT count(*) FROM fund_rows)"
_OF_FREED_ORDERS = """,
    cancel_requested_at = CASE WHEN {is_cancel_failed} THEN NULL ELSE o.cancel_requested_at END,
    cancel_seq = CASE WHEN {is_cancel_failed} THEN NULL ELSE o.cancel_seq END"""
_AMENDED = "amended"
_AMENDED_TERMS = """,
    margin_price = coalesce(x.margin_price, o.margin_price), loss_per_lot = coalesce(x.loss_per_lot, o.loss_per_lot),
    fee_per_lot = coalesce(x.fee_per_lot, o.fee_per_lot),
    quantity = o.quantity + coalesce(x.added, 0)"""
_AMEND_ENDED = """,
    excess_per_lot = coalesce(x.excess_per_lot, o.excess_per_lot), amend_seq = CASE WHEN x.order_id IS NULL THEN o.amend_seq END,
    amend_lots = CASE WHEN x.order_id IS NULL THEN o.amend_lots ELSE 0 END"""
_AMENDED_JOIN = " LEFT JOIN (SELECT t.* FROM {amended}) x ON x.order_id = t.order_id"
_FRAGMENTS = sql_fragments()


class FoldedMarket(NamedTuple):
    """The new events of a market as rows, its progress before and after them, and the time of the last one."""

    market_id: int
    rows: Rows
    before: Progress
    after: Progress
    at: Timestamp


class Writing(NamedTuple):
    """A statement, its one argument, and the row counts that it must return."""

    statement: str
    argument: str
    counts: tuple[int, ...]


def writing_of(folded: Sequence[FoldedMarket]) -> Writing:
    """The statement that writes these markets."""
    kinds = {kind: rows for kind, rows in _written(folded)._asdict().items() if rows}
    counts = tuple(len(kinds[kind]) for kind in _COUNTS if kind in kinds)
    has_fund = any(INSURANCE_FUND in market.rows.positions for market in folded)
    return Writing(statement_for(tuple(kinds), has_fund=has_fund), encode(kinds).decode(), counts)


@cache
def statement_for(kinds: tuple[str, ...], *, has_fund: bool) -> str:
    """The statement for rows of these kinds; with `has_fund` a position of the insurance fund is among them."""
    of_orders = {
        _FREED: _OF_FREED_ORDERS.format_map(_FRAGMENTS) if "failures" in kinds else "",
        "amended_terms": _AMENDED_TERMS if _AMENDED in kinds else "",
        "amend_ended": _AMEND_ENDED if _AMENDED in kinds else "",
        "amended_join": _AMENDED_JOIN.format_map(_FRAGMENTS) if _AMENDED in kinds else "",
    }
    parts = [_PARTS[kind] for kind in kinds if kind != _AMENDED] + ([_PARTS[_FUND]] if has_fund else [])
    counts = [
        _COUNTS[kind] + (_COUNT_FUND if has_fund and kind == "positions" else "") for kind in _COUNTS if kind in kinds
    ]
    written = ", ".join(part.format_map(_FRAGMENTS | of_orders) for part in parts)
    statement = f"{MARK}WITH {written}\nSELECT {', '.join(counts)}"
    return "\n".join(line.lstrip() for line in statement.splitlines())  # the client caches only short statements


def _written(folded: Sequence[FoldedMarket]) -> WrittenRows:
    all_rows = [market.rows for market in folded]
    wallets = {user: rows.wallets[user] for rows in all_rows for user in rows.touched_wallets}
    steps = chain.from_iterable(rows.steps.items() for rows in all_rows)
    touched = [order for rows in all_rows for order in rows.touched_orders.values()]
    return WrittenRows(
        orders=[_order_update(order) for order in touched if not order.is_conditional],
        conditionals=[_conditional_update(order) for order in touched if order.is_conditional],
        amended=[row for rows in all_rows for row in rows.amended.values()],
        amends=[row for rows in all_rows for row in rows.amends],
        fills=[row for rows in all_rows for row in rows.fills],
        positions=[row for rows in all_rows for row in rows.positions.values()],
        wallets=[WalletUpdate(user, wallets[user]) for user in sorted(wallets)],
        entries=[row for rows in all_rows for row in rows.entries],
        failures=[row for rows in all_rows for row in rows.failures],
        countdowns=[row for rows in all_rows for row in rows.countdowns.values()],
        premiums=[row for rows in all_rows for row in rows.premiums],
        fundings=[row for rows in all_rows for row in rows.fundings],
        payments=[row for rows in all_rows for row in rows.payments],
        settlements=[row for rows in all_rows for row in rows.settlements],
        steps=[_step_update(liquidation, step, outcome) for (liquidation, step), outcome in steps],
        market=[_market_update(m.market_id, m.rows.market) for m in folded if m.rows.market != MarketChange()],
        records=[row for rows in all_rows for row in rows.records],
        progress=[_progress_update(market) for market in folded],
    )


def _progress_update(market: FoldedMarket) -> ProgressUpdate:
    after = market.after
    at = datetime_of(market.at)
    return ProgressUpdate(market.market_id, *after, at, market.before.event_seq, market.rows.open_interest)


def _order_update(order: OrderRow) -> OrderUpdate:
    return OrderUpdate(
        order_id=order.order_id,
        status=order.status,
        reason=order.reason,
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


def _conditional_update(order: OrderRow) -> ConditionalUpdate:
    trigger = order.trigger
    return ConditionalUpdate(
        **msgspec.structs.asdict(_order_update(order)),
        is_waiting=order.is_waiting,
        quantity=order.quantity,
        margin_price=order.margin_price,
        loss_per_lot=order.loss_per_lot,
        fee_per_lot=order.fee_per_lot,
        triggered_at=None if trigger is None else datetime_of(trigger.at),
        triggered_working_price=None if trigger is None else trigger.working_price,
        triggered_event_seq=None if trigger is None else trigger.event_seq,
        triggered_command_seq=None if trigger is None else trigger.command_seq,
        trigger_price=order.trigger_price,
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


def _market_update(market_id: int, change: MarketChange) -> MarketUpdate:
    return MarketUpdate(
        market_id=market_id,
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
        spec=change.spec,
        spec_seq=change.spec_seq,
    )
