"""Deposits: a ledger row and the balance in one transaction, once for each idempotency key."""

import re
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from schemas.refusals import ErrorCode, Refused
from schemas.rest import BalanceView, DepositRequest
from schemas.units import AMOUNT_MAX_E18, MICRO_E18, Micros, Timestamp, datetime_of, parse_whole_units
from store.connect import Session
from store.ledger import deposit_entries
from store.queries.account import read_account
from store.queries.balances import ASSET, balance_view

WALLET_MAX = AMOUNT_MAX_E18 // MICRO_E18
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_LOCK = "SELECT wallet FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE"
_CREDIT = """
WITH transfer AS MATERIALIZED (SELECT nextval('transfers') AS id),
wallet AS (UPDATE accounts SET wallet = wallet + $2::int8 WHERE user_id = $1 RETURNING wallet)
INSERT INTO ledger (account, type, amount, balance_after, transfer_id, at)
SELECT entry.account, entry.type, entry.amount, CASE WHEN entry.account = $1 THEN wallet.wallet END, transfer.id, $3
FROM transfer, wallet, unnest($4::int8[], $5::text[], $6::int8[]) AS entry (account, type, amount)
"""
_RECALL = "SELECT request_hash, response FROM idempotency_keys WHERE user_id = $1 AND key = $2"
_REMEMBER = """
INSERT INTO idempotency_keys (user_id, key, request_hash, response, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING 1
"""


class _Wanted(NamedTuple):
    user: int
    amount: Micros
    owner: int
    key: str | None
    digest: bytes
    at: Timestamp


class _KeyTaken(Exception):
    """Another transaction used the key first: roll back and look at what it answered."""


async def deposit(
    session: Session,
    user: int,
    request: DepositRequest,
    key: str | None,
    at: Timestamp,
    *,
    caller: int | None = None,
) -> BalanceView | Refused:
    """Credit a user and answer his balance; the same key with the same body answers the first answer again.

    Keys belong to the `caller` who sent them (the user himself, or an administrator). Refused: INVALID_REQUEST,
    IDEMPOTENCY_CONFLICT (same key, another body), UNAUTHENTICATED (no such user).
    """
    amount = _read_amount(request)
    if isinstance(amount, Refused):
        return amount
    if key is not None and _KEY.fullmatch(key) is None:
        return _invalid("Idempotency-Key", "Idempotency-Key must be 1 to 255 visible ASCII characters")
    wanted = _Wanted(user, amount, caller or user, key, _digest(user, request.asset, amount), at)
    while True:
        try:
            async with session.transaction():
                return await _deposit_once(session, wanted)
        except _KeyTaken:
            continue  # a key is never forgotten, so the next round finds it


async def _deposit_once(session: Session, wanted: _Wanted) -> BalanceView | Refused:
    wallet = await session.fetchval(_LOCK, wanted.user)
    if wallet is None:
        return Refused(ErrorCode.UNAUTHENTICATED, "there is no such user")
    if (earlier := await _earlier_answer(session, wanted)) is not None:
        return earlier
    if wallet + wanted.amount > WALLET_MAX:
        return _invalid("amount", "the wallet would be above 10^12")
    await _credit(session, wanted)
    account = await read_account(session, wanted.user)
    if account is None:
        raise RuntimeError(wanted.user)  # we hold the lock on its row
    answer = balance_view(account)
    await _remember(session, wanted, answer)
    return answer


async def _earlier_answer(session: Session, wanted: _Wanted) -> BalanceView | Refused | None:
    if wanted.key is None:
        return None
    row = await session.fetchrow(_RECALL, wanted.owner, wanted.key)
    if row is None:
        return None
    if row["request_hash"] != wanted.digest:
        return Refused(ErrorCode.IDEMPOTENCY_CONFLICT, "the Idempotency-Key was used with another body")
    return msgspec.json.decode(row["response"], type=BalanceView)


async def _credit(session: Session, wanted: _Wanted) -> None:
    entries = deposit_entries(wanted.user, wanted.amount)
    columns = [[int(e.account) for e in entries], [str(e.type) for e in entries], [e.amount for e in entries]]
    await session.execute(_CREDIT, wanted.user, wanted.amount, datetime_of(wanted.at), *columns)


async def _remember(session: Session, wanted: _Wanted, answer: BalanceView) -> None:
    if wanted.key is None:
        return
    body = msgspec.json.encode(answer)
    arguments = (wanted.owner, wanted.key, wanted.digest, body, datetime_of(wanted.at))
    if not await session.fetchval(_REMEMBER, *arguments):
        raise _KeyTaken


def _read_amount(request: DepositRequest) -> Micros | Refused:
    if request.asset != ASSET:
        return _invalid("asset", f"the asset must be {ASSET}")
    amount = parse_whole_units(request.amount, MICRO_E18)
    if not amount:
        return _invalid("amount", "the amount must be a decimal string above 0, at most 10^12, with at most 6 decimals")
    return Micros(amount)


def _digest(user: int, asset: str, amount: int) -> bytes:
    """What makes two deposits the same: decoded, so that "10" and "10.0" are one body."""
    return blake2b(msgspec.json.encode(["deposit", user, asset, amount]), digest_size=16).digest()


def _invalid(field: str, message: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, message, {"field": field})
