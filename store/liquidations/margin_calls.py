"""Before a liquidation: margin calls, and cancels of orders whose losses the account could not bear."""

from collections.abc import Sequence

from exchange.risk.liquidation import is_warned, orders_to_cancel
from exchange.risk.margin import equity, total_maintenance
from schemas.orders import EndReason
from schemas.units import Timestamp, datetime_of, format_micros
from store.liquidations.accounts import lock_in_user_order, read_live_orders
from store.liquidations.cancelling import cancel_orders
from store.liquidations.receipts import account_receipt
from store.liquidations.writing import LiquidationCase, NewReceipt, find_case, open_case
from store.margin_accounts import read_accounts
from store.session.connect import Session

_CALLED = (
    "SELECT user_id FROM liquidations WHERE user_id = ANY($1::int8[]) AND kind = 'MARGIN_CALL' AND ended_at IS NULL"
)
_END_CALLS = "UPDATE liquidations SET ended_at = $2 WHERE liquidation_id = ANY($1::int8[])"


async def call_for_margin(session: Session, users: Sequence[int], now: Timestamp) -> list[int]:
    """Open a margin call, with its receipt, for each of the accounts at or below 1.25 x maintenance; returns those called.

    An account with an open margin call is left out.
    """
    called: list[int] = []
    async with session.transaction():
        await lock_in_user_order(session, users)
        known = {row["user_id"] for row in await session.fetch(_CALLED, list(users))}
        for user, account in (await read_accounts(session, users)).items():
            is_at_call = is_warned(equity(account), total_maintenance(account)) and not account.is_unvalued
            if user not in known and is_at_call:
                call = await open_case(session, "MARGIN_CALL", user, now)
                await call.keep(NewReceipt(1, "MARGIN_CALL", account_receipt(account)))
                called.append(user)
    return called


async def end_calls(session: Session, calls: Sequence[int], now: Timestamp) -> None:
    """End these margin calls: their accounts are above 1.25 x maintenance again."""
    await session.execute(_END_CALLS, list(calls), datetime_of(now))


async def cancel_for_margin(session: Session, user: int, now: Timestamp) -> bool:
    """Cancel the account's orders, largest open loss first, until the rest cannot bring it down to maintenance.

    Returns whether any was cancelled. Orders with a cancel under way do not count.
    """
    async with session.transaction():
        await lock_in_user_order(session, [user])
        account = (await read_accounts(session, [user]))[user]
        if account.is_bound_by_margin:
            return False
        live = {order.order_id: order for order in await read_live_orders(session, user) if order.cancel_seq is None}
        losses = [(order.order_id, order.open_loss) for order in live.values()]
        going = orders_to_cancel(equity(account), total_maintenance(account), losses)
        if not going:
            return False
        call = await _open_call(session, user, now)
        inputs = account_receipt(account) | {"openLoss": format_micros(sum(loss for _, loss in losses))}
        await cancel_orders(call, [live[order] for order in going], EndReason.MARGIN, inputs)
        return True


async def _open_call(session: Session, user: int, now: Timestamp) -> LiquidationCase:
    """The account's open margin call; without one, a new case that has already ended."""
    call = await find_case(session, "MARGIN_CALL", user, now)
    return call or await open_case(session, "MARGIN_CALL", user, now, is_over=True)
