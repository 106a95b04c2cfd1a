"""Deposits and withdrawals: ledger rows and balance in one transaction, once per idempotency key."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from exchange.risk.account import MarginAccount
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import BalanceView
from schemas.units import MICRO_E18, Micros, Timestamp, datetime_of, parse_whole_units
from store.margin_accounts import read_account
from store.money.idempotency import Claim, KeyTaken, recall, remember
from store.money.ledger import Entry
from store.queries.accounts.balances import ASSET, balance_view
from store.session.connect import Session

T = TypeVar("T")
_LOCK = "SELECT 1 FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE"
_POST = """
WITH transfer AS MATERIALIZED (SELECT nextval('transfers') AS id),
wallet AS (UPDATE accounts SET wallet = wallet + $2::int8 WHERE user_id = $1 RETURNING wallet)
INSERT INTO ledger (account, type, amount, balance_after, transfer_id, at)
SELECT entry.account, entry.type, entry.amount, CASE WHEN entry.account = $1 THEN wallet.wallet END, transfer.id, $3
FROM transfer, wallet, unnest($4::int8[], $5::text[], $6::int8[]) AS entry (account, type, amount)
"""


Check: TypeAlias = Callable[[Session], Awaitable[Refused | None]]
"""Checks the caller in the transaction of the transfer."""


class Transferred(NamedTuple):
    """The balance after a transfer; `is_replay`: of an earlier request with the same key."""

    balance: BalanceView
    is_replay: bool


class Transfer(NamedTuple):
    """A requested transfer: `change` micros for a user's wallet (negative: a withdrawal), and the entries that post them.

    `refusal` checks the account under its lock and returns what forbids the transfer, if anything; `check` what else is asked of
    the caller.
    """

    user: int
    change: Micros
    entries: Sequence[Entry]
    claim: Claim
    refusal: Callable[[MarginAccount], Refused | None]
    check: Check | None = None


class Done(NamedTuple, Generic[T]):
    """The answer to a request that is carried out once; `is_replay`: to an earlier request with the same key."""

    answer: T
    is_replay: bool


async def transfer(session: Session, wanted: Transfer) -> Transferred | Refused:
    """Move the money and return the new balance; the same key with the same request returns the first answer again.

    Refused: the result of `refusal`, IDEMPOTENCY_CONFLICT, UNAUTHENTICATED (no such user). A refusal leaves the key free.
    """

    async def work(account: MarginAccount) -> BalanceView | Refused:
        if wanted.check is not None and (refused := await wanted.check(session)) is not None:
            return refused
        if (refused := wanted.refusal(account)) is not None:
            return refused
        await post(session, wanted.user, wanted.change, wanted.entries, wanted.claim.at)
        account.wallet = Micros(account.wallet + wanted.change)
        return balance_view(account)

    done = await once(session, wanted.user, wanted.claim, BalanceView, work)
    return done if isinstance(done, Refused) else Transferred(*done)


async def once(
    session: Session,
    user: int,
    claimed: Claim,
    answer_type: type[T],
    work: Callable[[MarginAccount], Awaitable[T | Refused]],
) -> Done[T] | Refused:
    """Do the work on the locked account of a user, once per key, in a transaction of its own; its answer is kept with the key.

    Refused: the refusal of the work, IDEMPOTENCY_CONFLICT, UNAUTHENTICATED (no such user). A refusal leaves the key free.
    """
    while True:
        try:
            async with session.transaction():
                return await _locked_once(session, user, claimed, answer_type, work)
        except KeyTaken:
            continue  # a key is never deleted, so the next round finds it


async def post(session: Session, user: int, change: Micros, entries: Sequence[Entry], at: Timestamp) -> None:
    """Update the wallet and write the entries of one transfer, in the caller's transaction, which has locked the account."""
    columns = [[int(e.account) for e in entries], [str(e.type) for e in entries], [e.amount for e in entries]]
    await session.execute(_POST, user, change, datetime_of(at), *columns)


def read_amount(asset: str, text: str) -> Micros | Refused:
    """Read an amount of money as micros; INVALID_REQUEST for another asset and for a malformed amount."""
    if asset != ASSET:
        return invalid("asset", f"the asset must be {ASSET}")
    amount = parse_whole_units(text, MICRO_E18)
    if not amount:
        return invalid("amount", "the amount must be a decimal string above 0, at most 10^12, with at most 6 decimals")
    return Micros(amount)


def invalid(field: str, message: str) -> Refused:
    """INVALID_REQUEST, for one field of the request."""
    return Refused(ErrorCode.INVALID_REQUEST, message, {"field": field})


async def _locked_once(
    session: Session,
    user: int,
    claimed: Claim,
    answer_type: type[T],
    work: Callable[[MarginAccount], Awaitable[T | Refused]],
) -> Done[T] | Refused:
    """1 lock the account, 2 check whether the key is new, 3 read the locked account, 4 decide and write, 5 keep the answer.

    Lock and read are two statements: a single one would read rows as of before it waited for the lock.
    """
    await session.execute(_LOCK, user)  # 1
    if (earlier := await recall(session, claimed)) is not None:  # 2
        if isinstance(earlier, Refused):
            return earlier
        return Done(msgspec.json.decode(earlier, type=answer_type), is_replay=True)
    account = await read_account(session, user)  # 3
    if account is None:
        return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
    answer = await work(account)  # 4
    if isinstance(answer, Refused):
        return answer
    await remember(session, claimed, msgspec.json.encode(answer))  # 5
    return Done(answer, is_replay=False)
