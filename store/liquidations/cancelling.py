"""Cancels orders because their owner's margin is exhausted, and detects when the cancels are done."""

from collections.abc import Iterable, Sequence

from schemas.commands import CancelOrder
from schemas.ids import seq_of_order_key
from schemas.orders import EndReason
from schemas.units import Timestamp, datetime_of
from store.liquidations.accounts import OpenOrder
from store.liquidations.receipts import Receipt
from store.liquidations.writing import LiquidationCase, NewCommand, NewReceipt, append_case_commands
from store.session.connect import Session

# A counterparty of a deleveraging has the id of another account's liquidation. Rows are locked in the usual order.
_LET_GO = """
WITH held AS MATERIALIZED (
  SELECT a.user_id FROM accounts a JOIN liquidations l ON l.liquidation_id = abs(a.liquidation_id)
  WHERE a.liquidation_id IS NOT NULL AND a.is_closing AND l.user_id <> a.user_id AND NOT EXISTS (
    SELECT 1 FROM liquidation_steps s
    WHERE s.liquidation_id = l.liquidation_id AND s.action = 'ADL' AND s.done_at IS NULL)
  ORDER BY a.user_id FOR NO KEY UPDATE OF a)
UPDATE accounts a SET liquidation_id = NULL, is_closing = false FROM held h WHERE a.user_id = h.user_id
"""
_SWEEP = """
UPDATE liquidation_steps s SET done_at = $1, outcome = '{}'::jsonb FROM progress p
WHERE s.action = 'CANCEL_ORDERS' AND s.done_at IS NULL AND p.market_id = s.market_id
  AND p.command_seq >= s.command_seq
"""


def cancels(user: int, orders: Iterable[OpenOrder], reason: EndReason, now: Timestamp) -> list[NewCommand]:
    """The commands that cancel the orders, except those with a cancel under way."""
    return [
        NewCommand(
            order.market_id,
            CancelOrder(now, user, seq_of_order_key(order.order_id), reason),
            order.order_id,
        )
        for order in orders
        if order.cancel_seq is None
    ]


async def cancel_orders(
    liquidation_case: LiquidationCase, orders: Sequence[OpenOrder], reason: EndReason, inputs: Receipt
) -> None:
    """Cancel the orders, with one receipt per market, done when all of them have left it; without orders, one that is done."""
    commands = cancels(liquidation_case.user, orders, reason, liquidation_case.now)
    sent = await append_case_commands(liquidation_case.session, commands, liquidation_case.now) if commands else []
    last: dict[int | None, int | None] = {}
    for order in orders:
        if order.cancel_seq is not None:
            last[order.market_id] = max(last.get(order.market_id) or 0, order.cancel_seq)
    last |= {command.market_id: seq for command, seq in zip(commands, sent, strict=True)}
    step = await liquidation_case.next_step()
    for place, (market_id, seq) in enumerate(last.items() if last else [(None, None)]):
        gone = [seq_of_order_key(order.order_id) for order in orders if order.market_id == market_id]
        facts = inputs | {"reason": str(reason), "orders": gone}
        await liquidation_case.keep(NewReceipt(step + place, "CANCEL_ORDERS", facts, market_id, seq))


async def complete_cancels(session: Session, now: Timestamp) -> None:
    """Complete the receipts of cancels that are persisted; release the counterparties whose deleveraging is persisted."""
    await session.execute(_SWEEP, datetime_of(now))
    await session.execute(_LET_GO)
