"""Deposits: money enters the exchange."""

from exchange.risk.account import MarginAccount
from schemas.refusals import Refused
from schemas.rest.transfers import DepositRequest
from schemas.units import AMOUNT_MAX_E18, MICRO_E18, Timestamp
from store.money.idempotency import claim
from store.money.ledger import deposit_entries
from store.money.transfers import Transfer, Transferred, invalid, read_amount, transfer
from store.session.connect import Session

WALLET_MAX = AMOUNT_MAX_E18 // MICRO_E18
"""The most that a wallet may hold after a deposit, in micros."""


async def deposit(
    session: Session,
    user: int,
    request: DepositRequest,
    key: str | None,
    at: Timestamp,
    *,
    caller: int | None = None,
) -> Transferred | Refused:
    """Credit a user and return their new balance; the same key with the same body returns the first answer again.

    Keys belong to the `caller` who sent them (the user, or an administrator). Refused: INVALID_REQUEST,
    IDEMPOTENCY_CONFLICT (same key, another body or route), UNAUTHENTICATED (no such user).
    """
    amount = read_amount(request.asset, request.amount)
    if isinstance(amount, Refused):
        return amount
    claimed = claim(caller or user, key, ["deposit", user, request.asset, amount], at)
    if isinstance(claimed, Refused):
        return claimed

    def refusal(account: MarginAccount) -> Refused | None:
        return above_the_largest(account, amount)

    return await transfer(session, Transfer(user, amount, deposit_entries(user, amount), claimed, refusal))


def above_the_largest(account: MarginAccount, amount: int) -> Refused | None:
    """INVALID_REQUEST if the wallet would be above the largest with this amount (micros)."""
    return invalid("amount", "the wallet would be above 10^12") if account.wallet + amount > WALLET_MAX else None
