"""Withdrawals: money leaves the exchange, never more than the margin of positions and live orders leaves free."""

from exchange.risk.account import MarginAccount
from exchange.risk.margin import withdrawable
from schemas.refusals import ErrorCode, Refused
from schemas.rest.transfers import WithdrawalRequest
from schemas.units import Micros, Timestamp, format_micros
from store.money.idempotency import claim
from store.money.ledger import withdrawal_entries
from store.money.transfers import Check, Transfer, Transferred, read_amount, transfer
from store.session.connect import Session


async def withdraw(
    session: Session,
    user: int,
    request: WithdrawalRequest,
    key: str | None,
    at: Timestamp,
    *,
    check: Check | None = None,
) -> Transferred | Refused:
    """Debit a user and return their new balance; the same key with the same body returns the first answer again.

    The maximum is `available` of docs/semantics.md, "Margin": nothing during a liquidation or on a frozen mark. It is
    checked under the account's lock: no order, fill or other withdrawal uses the same money.
    `check` is of the second factor; a repetition that is answered as before does not need it.
    Refused: the result of `check`, INVALID_REQUEST, INSUFFICIENT_BALANCE, IDEMPOTENCY_CONFLICT (same key, another body or route),
    UNAUTHENTICATED (no such user).
    """
    amount = read_amount(request.asset, request.amount)
    if isinstance(amount, Refused):
        return amount
    claimed = claim(user, key, ["withdrawal", user, request.asset, amount], at)
    if isinstance(claimed, Refused):
        return claimed

    def refusal(account: MarginAccount) -> Refused | None:
        available = withdrawable(account)
        return insufficient(account, amount, available) if amount > available else None

    entries = withdrawal_entries(user, amount)
    return await transfer(session, Transfer(user, Micros(-amount), entries, claimed, refusal, check))


def insufficient(account: MarginAccount, requested: Micros, available: Micros) -> Refused:
    """The refusal names what blocks every withdrawal, where it is not the amount."""
    details = {"requested": format_micros(requested), "available": format_micros(available)}
    message = "more than can be withdrawn"
    if (frozen := account.frozen_market) is not None:
        details |= {"reason": "MARK_FROZEN", "marketId": frozen}
        message = f"nothing can be withdrawn while the mark of {frozen}, where the account has a position, is frozen"
    elif account.is_frozen and not account.is_bound_by_margin:
        details["reason"] = "ACCOUNT_FROZEN"
        message = "nothing can be withdrawn: an operator has frozen the account"
    elif account.may_only_reduce:
        details["reason"] = "POSITIONS_CLOSING" if account.is_closing else "LIQUIDATION"
        message = "nothing can be withdrawn while positions of the account are liquidated or deleveraged"
    return Refused(ErrorCode.INSUFFICIENT_BALANCE, message, {**details})
