"""Deposits and withdrawals."""

from typing import Annotated

from msgspec import Meta

from schemas.rest.bodies import DecimalText, Request
from schemas.rest.users import Code


class DepositRequest(Request, frozen=True):
    """Credits an account: the caller's, or as administrator that of `userId` (required in production)."""

    asset: Annotated[str, Meta(min_length=1, max_length=16)]
    amount: DecimalText
    user_id: Annotated[str, Meta(max_length=20)] | None = None


class WithdrawalRequest(Request, frozen=True):
    """Withdraws from the caller's account; `code` is needed where TOTP is enabled."""

    asset: Annotated[str, Meta(min_length=1, max_length=16)]
    amount: DecimalText
    code: Code | None = None
