"""The last steps: the insurance fund takes a position over, or the other side is deleveraged."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from exchange.risk.account import MarginAccount, MarketState
from exchange.risk.deleveraging import choose_counterparties, fund_lots, needs_deleveraging, taken_share
from exchange.risk.liquidation import BankruptShare
from exchange.risk.liquidation_policy import BankruptcyTransfer
from schemas.commands import Counterparty, Deleverage, SetStatus, TakeOver
from schemas.ids import INSURANCE_FUND
from schemas.market import RULES_SECOND, MarketStatus
from schemas.units import Lots
from store.liquidations.accounts import lock_in_user_order
from store.liquidations.receipts import (
    Receipt,
    account_receipt,
    fund_receipt,
    part_receipt,
    ranking_receipt,
    transfer_receipt,
)
from store.liquidations.writing import LiquidationCase, NewCommand, NewReceipt, append_case_commands
from store.margin_accounts import read_accounts
from store.session.connect import Session

_OTHER_SIDE = (
    "SELECT user_id FROM positions WHERE market_id = $1 AND opened_seq <> 0 AND sign(lots) = $2 AND user_id <> $3"
)
# Until a deleveraging is persisted, its effect on the counterparties is unknown: they may neither place orders nor withdraw.
# The sign is for the previous release, which does not know is_closing (migration 0016).
_HOLD = """
UPDATE accounts SET liquidation_id = -$2::int8, is_closing = true WHERE user_id = ANY($1::int8[]) AND liquidation_id IS NULL
"""
_IN_FLIGHT = """
SELECT coalesce(sum(coalesce(inputs->'fundTakes'->>'equityShare', inputs->'closure'->>'equityShare')::numeric * 1000000)
    FILTER (WHERE action = 'TAKE_OVER'), 0)::int8 AS shares, coalesce(bool_or(action = 'ADL'), false) AS is_deleveraging
FROM liquidation_steps WHERE done_at IS NULL AND command_seq IS NOT NULL AND action IN ('TAKE_OVER', 'ADL')
"""
_STATUS = "SELECT operator_status FROM markets WHERE market_id = $1"


class ClosingCase(NamedTuple):
    """An account at the last steps, and the fund, both locked. `in_flight`: the sum of E of take-overs under way."""

    liquidation_case: LiquidationCase
    account: MarginAccount
    fund: MarginAccount
    in_flight: int


class Closed(NamedTuple):
    """The action that was ordered: TAKE_OVER or ADL, and whether it leaves the fund below zero."""

    action: str
    is_fund_below_zero: bool


async def read_in_flight(session: Session) -> tuple[int, bool]:
    """The sum of E of all take-overs under way (micros), and whether a deleveraging is."""
    row = await session.fetchrow(_IN_FLIGHT)
    return (row["shares"], row["is_deleveraging"]) if row is not None else (0, False)


async def other_side(session: Session, transfer: BankruptcyTransfer) -> list[int]:
    """The users with a position on the opposite side, without the fund."""
    sign = -1 if transfer.lots > 0 else 1
    return [row["user_id"] for row in await session.fetch(_OTHER_SIDE, transfer.market_id, sign, INSURANCE_FUND)]


async def close(
    case: ClosingCase, transfer: BankruptcyTransfer, others: list[int], *, first: Sequence[NewCommand]
) -> Closed:
    """Order the take-over, or the deleveraging against `others`, whose accounts are locked; the commands `first` go before it.

    The fund takes over the lots that it can carry; what remains is decided in the next step, when that has been persisted.
    If the take-over leaves the fund below zero, the market becomes CANCEL_ONLY.
    """
    session, account = case.liquidation_case.session, case.account
    spec = market_of_transfer(account, transfer).spec
    inputs = account_receipt(account) | {
        "closure": transfer_receipt(spec, transfer),
        "fund": fund_receipt(case.fund, case.in_flight),
    }
    if not needs_deleveraging(case.fund, case.in_flight, transfer):
        await _order(_Order(case.liquidation_case, transfer, inputs, first))
        return Closed("TAKE_OVER", is_fund_below_zero=False)
    if lots := fund_part(case, transfer):
        inputs |= {"fundTakes": part_receipt(spec, lots, _share_of(account, transfer, lots))}
        await _order(_Order(case.liquidation_case, transfer, inputs, first, part=lots))
        return Closed("TAKE_OVER", is_fund_below_zero=False)
    decided = choose_counterparties(account, transfer, (await read_accounts(session, others)).values())
    inputs |= {"ranking": ranking_receipt(spec, decided.ranked, decided.chosen)}
    if decided.chosen:
        await session.execute(_HOLD, [each.user for each in decided.chosen], case.liquidation_case.liquidation_id)
        await _order(_Order(case.liquidation_case, transfer, inputs, first, decided.chosen))
        return Closed("ADL", is_fund_below_zero=False)
    status = await _status_closing(case.liquidation_case, transfer.market_id)
    await _order(_Order(case.liquidation_case, transfer, inputs | {"fundBelowZero": True}, [*first, *status]))
    return Closed("TAKE_OVER", is_fund_below_zero=True)


def fund_part(case: ClosingCase, transfer: BankruptcyTransfer) -> int:
    """The lots that a fund which cannot take all of the position takes; 0 in a market whose rules know no parts."""
    if market_of_transfer(case.account, transfer).rules < RULES_SECOND:
        return 0
    return fund_lots(case.fund, case.in_flight, transfer, _value_of(case.account, transfer))


def market_of_transfer(account: MarginAccount, transfer: BankruptcyTransfer) -> MarketState:
    """The market of the position that is transferred."""
    return next(risk.market for risk in account.positions if risk.market.market_id == transfer.market_id)


def _value_of(account: MarginAccount, transfer: BankruptcyTransfer) -> int:
    market = market_of_transfer(account, transfer)
    return market.spec.notional(market.mark, transfer.lots)


def _share_of(account: MarginAccount, transfer: BankruptcyTransfer, lots: int) -> BankruptShare:
    return taken_share(transfer, _value_of(account, transfer), lots)


class _Order(NamedTuple):
    """A transfer to order: its reasons, the commands before it, and the counterparties to deleverage (none: the fund takes over).

    `part`: the lots that the fund takes over, 0 for all.
    """

    liquidation_case: LiquidationCase
    transfer: BankruptcyTransfer
    inputs: Receipt
    first: Sequence[NewCommand]
    chosen: Sequence[Counterparty] = ()
    part: int = 0


async def _order(order: _Order) -> None:
    """Append the command together with those before it, so that counters are locked in market order; keep the receipt."""
    liquidation_case, transfer = order.liquidation_case, order.transfer
    step = await liquidation_case.next_step()
    named = (
        liquidation_case.now,
        liquidation_case.user,
        liquidation_case.liquidation_id,
        step,
        transfer.lots,
        transfer.cost,
        transfer.share.amount,
    )
    command = (
        Deleverage(*named, tuple(order.chosen))
        if order.chosen
        else TakeOver(*named, Lots(order.part) if order.part else msgspec.UNSET)
    )
    commands = [*order.first, NewCommand(transfer.market_id, command)]
    *_, seq = await append_case_commands(liquidation_case.session, commands, liquidation_case.now)
    action = "ADL" if order.chosen else "TAKE_OVER"
    await liquidation_case.keep(NewReceipt(step, action, order.inputs, transfer.market_id, seq))


async def _status_closing(liquidation_case: LiquidationCase, market_id: int) -> list[NewCommand]:
    """Accept no more orders where the exchange could not close a position; the operator decides how to continue."""
    if await liquidation_case.session.fetchval(_STATUS, market_id) != MarketStatus.ACTIVE:
        return []
    return [NewCommand(market_id, SetStatus(liquidation_case.now, MarketStatus.CANCEL_ONLY))]


async def lock_for_closing(session: Session, user: int, others: list[int]) -> None:
    """Lock the account, the fund and all possible counterparties, in the order every transaction locks accounts."""
    await lock_in_user_order(session, [user, INSURANCE_FUND, *others])
