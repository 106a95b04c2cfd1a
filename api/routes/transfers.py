"""Deposits and withdrawals."""

from aiohttp import web

from api.access.auth import check_admin
from api.access.idempotency import IDEMPOTENCY_KEY, idempotency_key
from api.bodies import BodyReader
from api.errors import Refusal, refusal_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.ids import user_id_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import BalanceView
from schemas.rest.api_keys import Scope
from schemas.rest.transfers import DepositRequest, WithdrawalRequest
from store.money.deposits import deposit
from store.money.transfers import Transferred
from store.money.withdrawals import withdraw
from store.session.connect import Session
from store.users.totp import check_code

_deposit = BodyReader(DepositRequest)
_withdrawal = BodyReader(WithdrawalRequest)


async def make_deposit(request: web.Request, user: int) -> web.Response:
    """Credit an account; the ledger row and the balance change together."""
    asked = await _deposit.read(request)
    account = await _account_of(request, user, asked.user_id)
    services, key = services_of(request), idempotency_key(request)
    outcome = await services.database.run(
        lambda session: deposit(session, account, asked, key, services.now(), caller=user)
    )
    if isinstance(outcome, Refused):
        raise _refusal_of_deposit(outcome, is_for_another=account != user)
    return _answer(outcome)


async def make_withdrawal(request: web.Request, user: int) -> web.Response:
    """Debit the caller's account; only free money, which no position and no order needs, can be withdrawn.

    An account with TOTP needs a code, whether it calls with a token or a key.
    """
    asked = await _withdrawal.read(request)
    services, key = services_of(request), idempotency_key(request)
    at = services.now()

    async def check(session: Session) -> Refused | None:
        return await check_code(session, user, asked.code, services.totp, at)

    outcome = await services.database.run(lambda session: withdraw(session, user, asked, key, at, check=check))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return _answer(outcome)


def _answer(outcome: Transferred) -> web.Response:
    headers = {"Idempotent-Replayed": "true"} if outcome.is_replay else None
    return json_answer(outcome.balance, status=201, headers=headers)


async def _account_of(request: web.Request, user: int, named: str | None) -> int:
    """The account to credit: the caller where deposits are open, otherwise the user that an administrator names."""
    are_open = services_of(request).settings.are_deposits_open
    if named is None and are_open:
        return user
    await check_admin(request, user)
    if named is None:
        raise Refusal(ErrorCode.INVALID_REQUEST, "`userId` is required here", {"field": "userId"})
    account = user_id_of(named)
    if account is None:
        raise _no_such_user()
    return account


def _refusal_of_deposit(refused: Refused, *, is_for_another: bool) -> Refusal:
    if is_for_another and refused.code is ErrorCode.UNAUTHENTICATED:  # the administrator is known, the user is not
        return _no_such_user()
    return refusal_of(refused)


def _no_such_user() -> Refusal:
    return Refusal(ErrorCode.INVALID_REQUEST, "no such user", {"field": "userId"})


ROUTES = (
    Route(
        "POST",
        "/deposits",
        make_deposit,
        "makeDeposit",
        "Deposit money",
        {201: Answer(BalanceView, "The updated balance.", ("Idempotent-Replayed",))},
        access=Access.USER,
        body=DepositRequest,
        errors=(ErrorCode.FORBIDDEN, ErrorCode.IDEMPOTENCY_CONFLICT),
        parameters=(IDEMPOTENCY_KEY,),
        tag="account",
    ),
    Route(
        "POST",
        "/withdrawals",
        make_withdrawal,
        "makeWithdrawal",
        "Withdraw money",
        {201: Answer(BalanceView, "The updated balance.", ("Idempotent-Replayed",))},
        access=Access.USER,
        scope=Scope.WITHDRAW,
        body=WithdrawalRequest,
        errors=(ErrorCode.INSUFFICIENT_BALANCE, ErrorCode.IDEMPOTENCY_CONFLICT),
        parameters=(IDEMPOTENCY_KEY,),
        tag="account",
    ),
)
