"""Corrections of a balance by an operator: double entry against the house account `external`, once per idempotency key.

Money that an operator gives or takes comes from or goes to outside the exchange, as a deposit does, and is a type of entry
of its own: so every sum of the books stays exact, and corrections are kept apart from what users paid in.
"""

from exchange.risk.account import MarginAccount
from exchange.risk.margin import free_of_margin
from schemas.ids import INSURANCE_FUND
from schemas.refusals import ErrorCode, Refused
from schemas.rest.operating.acts import Action, ActView, CorrectionRequest
from schemas.units import Micros, Timestamp, format_micros
from store.money.deposits import above_the_largest
from store.money.idempotency import claim
from store.money.ledger import correction_entries
from store.money.transfers import Done, once, post, read_amount
from store.money.withdrawals import insufficient
from store.operators.acts import Act, Operator, record_act
from store.session.connect import Session

_TRANSFER = "SELECT currval('transfers')"


async def correct(
    session: Session, user: int, request: CorrectionRequest, key: str, at: Timestamp, *, operator: Operator
) -> Done[ActView] | Refused:
    """Change a wallet, and log it; the same key with the same request returns the first answer again.

    Keys belong to the administrator; those of the command line to the house. Taken can be only what margin does not need
    (`available` of the balance, also of a frozen account), and nothing while the account is liquidated or cannot be valued.
    Refused: INVALID_REQUEST, INSUFFICIENT_BALANCE, IDEMPOTENCY_CONFLICT, UNAUTHENTICATED (no such user).
    """
    amount = read_amount(request.asset, request.amount.removeprefix("-"))
    if isinstance(amount, Refused):
        return amount
    change = Micros(-amount if request.amount.startswith("-") else amount)
    owner = INSURANCE_FUND if operator.user is None else operator.user
    claimed = claim(owner, key, ["correction", user, request.asset, change, request.reason], at)
    if isinstance(claimed, Refused):
        return claimed

    async def work(account: MarginAccount) -> ActView | Refused:
        if (refused := _refusal(account, change)) is not None:
            return refused
        await post(session, user, change, correction_entries(user, change), at)
        act = Act(
            Action.CORRECT_BALANCE,
            {"total": format_micros(account.wallet)},
            {"total": format_micros(account.wallet + change), "amount": format_micros(change)},
            user,
            reason=request.reason,
            transfer_id=await session.fetchval(_TRANSFER),
            amount=change,
        )
        return await record_act(session, operator, act, at)

    return await once(session, user, claimed, ActView, work)


def _refusal(account: MarginAccount, change: int) -> Refused | None:
    if change > 0:
        return above_the_largest(account, change)
    taken, free = Micros(-change), free_of_margin(account)
    if taken <= free:
        return None
    if account.is_bound_by_margin:
        return insufficient(account, taken, free)
    details = {"requested": format_micros(taken), "available": format_micros(free)}
    return Refused(ErrorCode.INSUFFICIENT_BALANCE, "more than margin leaves free", {**details})
