"""Liquidates one account step by step: each call is one transaction, decided on rows read under the account's lock.

A step that a crash interrupts has happened completely or not at all: the rows of `liquidations` and `liquidation_steps`
say where to continue.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from exchange.risk.account import MarginAccount
from exchange.risk.deleveraging import needs_deleveraging
from exchange.risk.liquidation import is_liquidatable
from exchange.risk.liquidation_policy import BankruptcyTransfer, Past, Release, Step, Wait, next_action
from exchange.risk.margin import equity, total_maintenance
from schemas.commands import Liquidate
from schemas.ids import INSURANCE_FUND
from schemas.orders import EndReason
from schemas.units import Micros, Timestamp, timestamp_of
from store.liquidations.accounts import lock_in_user_order, read_live_orders, read_open_orders
from store.liquidations.cancelling import cancel_orders, cancels
from store.liquidations.closing import ClosingCase, close, fund_part, lock_for_closing, other_side, read_in_flight
from store.liquidations.receipts import account_receipt, step_receipt
from store.liquidations.writing import (
    LiquidationCase,
    NewCommand,
    NewReceipt,
    append_case_commands,
    insert_order,
    open_case,
)
from store.margin_accounts import read_accounts
from store.money.ledger import fund_credit_entries
from store.money.transfers import post
from store.session.connect import Session

TIRED_US = 1_000_000
"""The pause of a market after a step that filled nothing."""

_READY = """
SELECT l.liquidation_id, l.user_id FROM liquidations l
WHERE l.kind = 'LIQUIDATION' AND l.ended_at IS NULL AND NOT EXISTS (
  SELECT 1 FROM liquidation_steps s WHERE s.liquidation_id = l.liquidation_id AND s.done_at IS NULL)
ORDER BY l.liquidation_id
"""
_FLAG = "UPDATE accounts SET liquidation_id = $2, is_closing = false WHERE user_id = $1"
# With the sign, for one release: the previous one does not know is_closing (migration 0016).
_CLOSE_TO_ORDERS = "UPDATE accounts SET liquidation_id = -abs(liquidation_id), is_closing = true WHERE user_id = $1"
_OPEN_TO_ORDERS = "UPDATE accounts SET liquidation_id = abs(liquidation_id), is_closing = false WHERE user_id = $1"
_PAST = """
SELECT market_id, at, (outcome->>'quantity')::int8 AS filled FROM liquidation_steps
WHERE liquidation_id = $1 AND action = 'LIQUIDATION' ORDER BY step
"""
_UNDER_WAY = "SELECT 1 FROM liquidation_steps WHERE liquidation_id = $1 AND done_at IS NULL LIMIT 1"


class Ready(NamedTuple):
    """An open liquidation without a step under way."""

    liquidation_id: int
    user_id: int


class StepResult(NamedTuple):
    """The result of a step, for the log; `is_fund_below_zero` needs the operator's attention."""

    did: str
    is_fund_below_zero: bool = False


async def read_ready(session: Session) -> list[Ready]:
    """The open liquidations that can continue, oldest first."""
    return [Ready(**row) for row in await session.fetch(_READY)]


async def begin(session: Session, user: int, now: Timestamp) -> bool:
    """Flag the account and cancel all its orders, the waiting ones too, if it is still at or below maintenance.

    Returns whether it was flagged. From the commit on, it may only reduce positions, and cannot withdraw.
    """
    async with session.transaction():
        await lock_in_user_order(session, [user])
        account = (await read_accounts(session, [user]))[user]
        if account.is_bound_by_margin or not is_liquidatable(equity(account), total_maintenance(account)):
            return False
        liquidation_case = await open_case(session, "LIQUIDATION", user, now)
        await session.execute(_FLAG, user, liquidation_case.liquidation_id)
        orders = await read_open_orders(session, user)
        await cancel_orders(liquidation_case, orders, EndReason.LIQUIDATION, account_receipt(account))
        return True


async def advance(session: Session, ready: Ready, now: Timestamp) -> StepResult:
    """Take the next step in an account's liquidation.

    Possible counterparties of a deleveraging must be locked with it: when they are needed, the transaction restarts with them.
    """
    others: list[int] | None = None
    while True:
        async with session.transaction():
            result = await _advance_once(LiquidationCase(session, ready.liquidation_id, ready.user_id, now), others)
        if isinstance(result, StepResult):
            return result
        others = result


async def credit(session: Session, user: int, now: Timestamp) -> bool:
    """Pay a wallet below zero from the fund, if the account has neither position nor live order; returns whether it was paid."""
    async with session.transaction():
        await lock_in_user_order(session, [user])
        account = (await read_accounts(session, [user]))[user]
        if account.liquidation_id is not None or not _is_owing(account):
            return False
        await _pay(await open_case(session, "LIQUIDATION", user, now, is_over=True), account)
        return True


async def _advance_once(liquidation_case: LiquidationCase, others: list[int] | None) -> StepResult | list[int]:
    """1 lock, 2 read, 3 decide, 4 write. Returns a list when these accounts must be locked as well."""
    session, user = liquidation_case.session, liquidation_case.user
    await lock_for_closing(session, user, others or [])  # 1
    accounts = await read_accounts(session, [user, INSURANCE_FUND])  # 2
    account = accounts[user]
    if account.liquidation_id != liquidation_case.liquidation_id or await session.fetchval(
        _UNDER_WAY, liquidation_case.liquidation_id
    ):
        return StepResult("gone")  # another liquidator was first
    action = next_action(account, await _past(liquidation_case))  # 3
    match action:  # 4
        case Wait():
            return StepResult("wait")
        case Release():
            return await _release(liquidation_case, account)
        case Step():
            if account.is_closing:
                await session.execute(_OPEN_TO_ORDERS, user)
            await order_step(
                liquidation_case, account, action, "LIQUIDATION", first=await _stray_cancels(liquidation_case, account)
            )
            return StepResult("step")
        case BankruptcyTransfer():
            return await _close(liquidation_case, accounts, action, others)


async def _close(
    liquidation_case: LiquidationCase,
    accounts: Mapping[int, MarginAccount],
    transfer: BankruptcyTransfer,
    others: list[int] | None,
) -> StepResult | list[int]:
    in_flight, is_deleveraging = await read_in_flight(liquidation_case.session)
    account = accounts[liquidation_case.user]
    case = ClosingCase(liquidation_case, account, accounts[INSURANCE_FUND], in_flight)
    if needs_deleveraging(case.fund, in_flight, transfer):
        takes_part = fund_part(case, transfer) > 0
        if not takes_part and is_deleveraging:  # its effect on the other side is not known yet
            return StepResult("busy")
        if not takes_part and others is None:
            return await other_side(liquidation_case.session, transfer)
    if not account.is_closing:
        await liquidation_case.session.execute(_CLOSE_TO_ORDERS, liquidation_case.user)
    closed = await close(case, transfer, others or [], first=await _stray_cancels(liquidation_case, account))
    return StepResult(closed.action, closed.is_fund_below_zero)


async def _past(liquidation_case: LiquidationCase) -> Past:
    rows = await liquidation_case.session.fetch(_PAST, liquidation_case.liquidation_id)
    last = {row["market_id"]: row for row in rows}
    tired = {
        market_id
        for market_id, row in last.items()
        if not row["filled"] and _is_recent(row["at"], liquidation_case.now)
    }
    return Past(has_stepped=bool(rows), tired=frozenset(tired))


def _is_recent(at: datetime, now: Timestamp) -> bool:
    return abs(now - timestamp_of(at)) < TIRED_US  # a step of the future was stamped by a clock that has been corrected


async def _release(liquidation_case: LiquidationCase, account: MarginAccount) -> StepResult:
    """Release the account, its debt paid by the fund; not while it has no position but an order that may still fill."""
    if not account.positions and account.has_live_orders:
        if commands := await _stray_cancels(liquidation_case, account):
            await append_case_commands(liquidation_case.session, commands, liquidation_case.now)
        return StepResult("busy")
    if _is_owing(account):
        await _pay(liquidation_case, account)
    await liquidation_case.keep(NewReceipt(await liquidation_case.next_step(), "RELEASE", account_receipt(account)))
    await liquidation_case.session.execute(_FLAG, liquidation_case.user, None)
    await liquidation_case.end()
    return StepResult("release")


async def order_step(
    liquidation_case: LiquidationCase,
    account: MarginAccount,
    step: Step,
    action: str,
    *,
    first: Sequence[NewCommand] = (),
) -> None:
    """Write the order of a step, its command and its receipt; the commands `first` go before it."""
    spec = next(risk.market.spec for risk in account.positions if risk.market.market_id == step.market_id)
    number = await liquidation_case.next_step()
    command = Liquidate(
        at=liquidation_case.now,
        user=liquidation_case.user,
        liquidation=liquidation_case.liquidation_id,
        step=number,
        side=step.side,
        quantity=step.lots,
        price=step.price,
        equity_elsewhere=step.equity_elsewhere,
        leverage=step.leverage,
    )
    commands = [*first, NewCommand(step.market_id, command)]
    *_, seq = await append_case_commands(liquidation_case.session, commands, liquidation_case.now)
    await insert_order(liquidation_case.session, step.market_id, seq, command, spec.lot_value)
    inputs = account_receipt(account) | {"step": step_receipt(spec, step)}
    await liquidation_case.keep(NewReceipt(number, action, inputs, step.market_id, seq))


async def _stray_cancels(liquidation_case: LiquidationCase, account: MarginAccount) -> list[NewCommand]:
    """Cancels of orders that could open a position: those whose first cancel broke the engine. Usually none."""
    if not account.has_live_orders:
        return []
    strays = [
        order
        for order in await read_live_orders(liquidation_case.session, liquidation_case.user)
        if not order.reduce_only
    ]
    return cancels(liquidation_case.user, strays, EndReason.LIQUIDATION, liquidation_case.now)


def _is_owing(account: MarginAccount) -> bool:
    return account.wallet < 0 and not account.positions and not account.has_live_orders


async def _pay(liquidation_case: LiquidationCase, account: MarginAccount) -> None:
    """INSURANCE_FUND_CREDIT: raise the wallet to zero from the fund, whatever the fund's balance."""
    amount = Micros(-account.wallet)
    await post(
        liquidation_case.session,
        liquidation_case.user,
        amount,
        fund_credit_entries(liquidation_case.user, amount),
        liquidation_case.now,
    )
    await liquidation_case.keep(NewReceipt(await liquidation_case.next_step(), "FUND_CREDIT", account_receipt(account)))
