"""Deposits: exact, bounded, and once for each idempotency key, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from schemas.orders import Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import BalanceView
from schemas.rest.transfers import DepositRequest
from store.audit.audit import audit
from store.money.deposits import deposit as deposited
from tests.store.projection_builders import NOON, Exchange, an_order, balance_in, open_exchange


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange; its books must balance after any deposits."""
    opened = await open_exchange(database)
    yield opened
    assert await audit(opened.session) == []
    await opened.close()


async def deposit(*arguments: Any, **options: Any) -> BalanceView | Refused:
    """Deposit; the balance after it."""
    return balance_in(await deposited(*arguments, **options))


def usdc(amount: str) -> DepositRequest:
    """A deposit of USDC."""
    return DepositRequest("USDC", amount)


def balance_of(total: str) -> BalanceView:
    """A balance with nothing locked."""
    return BalanceView("USDC", total, "0", total, total)


async def wallet_and_entries(exchange: Exchange, user: int) -> tuple[int, int]:
    """The wallet in micros, and how many ledger entries the user has."""
    wallet = await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id = $1", user)
    entries = await exchange.session.fetchval("SELECT count(*) FROM ledger WHERE account = $1", user)
    return wallet, entries


async def test_a_deposit_is_a_ledger_entry_and_the_balance_in_one(exchange: Exchange) -> None:
    """10,000.5 USDC are in the wallet, in the ledger with the balance after them, and missing outside."""
    user = await exchange.user("a@x.io", "1")
    assert await deposit(exchange.session, user, usdc("10000.500000"), None, NOON) == balance_of("10001.5")
    rows = await exchange.session.fetch(
        "SELECT account, type, amount, balance_after FROM ledger WHERE transfer_id = (SELECT max(transfer_id) "
        "FROM ledger) ORDER BY account"
    )
    assert [tuple(row) for row in rows] == [
        (-1, "DEPOSIT", -10_000_500_000, None),
        (user, "DEPOSIT", 10_000_500_000, 10_001_500_000),
    ]


async def test_the_answer_counts_what_orders_lock(exchange: Exchange) -> None:
    """Available is what the margin of live orders leaves."""
    user = await exchange.user("a@x.io")
    await exchange.submit("BTC-PERP", an_order(user, Side.BUY, 10, 600_000, margin_price=600_000, loss_per_lot=0))
    answer = await deposit(exchange.session, user, usdc("100"), None, NOON)
    assert isinstance(answer, BalanceView)
    assert (answer.total, answer.locked, answer.available) == ("10100", "30.00007", "10069.99993")


async def test_an_amount_that_is_no_money_is_refused(exchange: Exchange) -> None:
    """Zero, seven decimals, above 10^12, signs, exponents and other digits are INVALID_REQUEST; nothing is stored."""
    user = await exchange.user("a@x.io", "1")
    hostile = ["0", "0.0", "0.0000001", "1000000000000.000001", "999999999999999999", "-1", "1e3", "", " 1", "1\n", "٣"]
    for amount in [*hostile, "NaN", "0x10", "1_000", "+1", ".5", "5."]:
        refused = await deposit(exchange.session, user, usdc(amount), None, NOON)
        assert isinstance(refused, Refused), amount
        assert refused.code is ErrorCode.INVALID_REQUEST
    assert await wallet_and_entries(exchange, user) == (1_000_000, 1)


async def test_a_wallet_holds_at_most_a_million_millions(exchange: Exchange) -> None:
    """10^12 USDC fit, one micro more does not."""
    user = await exchange.user("a@x.io", "0.000001")
    refused = await deposit(exchange.session, user, usdc("1000000000000"), None, NOON)
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.INVALID_REQUEST
    assert await deposit(exchange.session, user, usdc("999999999999.999999"), None, NOON) == balance_of("1000000000000")


async def test_only_the_quote_asset_is_accepted(exchange: Exchange) -> None:
    """There is one asset."""
    user = await exchange.user("a@x.io", "1")
    refused = await deposit(exchange.session, user, DepositRequest("BTC", "1"), None, NOON)
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.INVALID_REQUEST


async def test_an_unknown_user_has_no_account_to_credit(exchange: Exchange) -> None:
    """A token that outlived its user belongs to no user."""
    refused = await deposit(exchange.session, 999, usdc("1"), None, NOON)
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.UNAUTHENTICATED


async def test_the_same_key_and_body_answer_the_first_answer(exchange: Exchange) -> None:
    """Also when the wallet has moved on, and when the amount is written otherwise."""
    user = await exchange.user("a@x.io", "1")
    first = await deposit(exchange.session, user, usdc("10"), "key-1", NOON)
    await deposit(exchange.session, user, usdc("5"), None, NOON)
    assert await deposit(exchange.session, user, usdc("10.00"), "key-1", NOON) == first == balance_of("11")
    assert await wallet_and_entries(exchange, user) == (16_000_000, 3)


async def test_the_same_key_with_another_body_conflicts(exchange: Exchange) -> None:
    """IDEMPOTENCY_CONFLICT, and nothing is credited."""
    user = await exchange.user("a@x.io", "1")
    await deposit(exchange.session, user, usdc("10"), "key-1", NOON)
    refused = await deposit(exchange.session, user, usdc("11"), "key-1", NOON)
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.IDEMPOTENCY_CONFLICT
    assert await wallet_and_entries(exchange, user) == (11_000_000, 2)


async def test_a_key_belongs_to_who_sent_it(exchange: Exchange) -> None:
    """Two users may use one key; an administrator may not use one for two users."""
    first, second, admin = [await exchange.user(f"u{n}@x.io", "1") for n in range(3)]
    for user in (first, second):
        assert await deposit(exchange.session, user, usdc("10"), "k", NOON) == balance_of("11")
    assert await deposit(exchange.session, first, usdc("10"), "k", NOON, caller=admin) == balance_of("21")
    refused = await deposit(exchange.session, second, usdc("10"), "k", NOON, caller=admin)
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_a_key_is_visible_ascii(exchange: Exchange) -> None:
    """1 to 255 characters from ! to ~."""
    user = await exchange.user("a@x.io", "1")
    for key in ["", "x" * 256, "two words", "tab\t", "ümlaut", "nul\x00", "line\n"]:
        refused = await deposit(exchange.session, user, usdc("1"), key, NOON)
        assert isinstance(refused, Refused), key
        assert refused.code is ErrorCode.INVALID_REQUEST
    assert await deposit(exchange.session, user, usdc("1"), "~" * 255, NOON) == balance_of("2")


async def test_duplicates_at_once_credit_once(exchange: Exchange) -> None:
    """Twenty requests with one key race: twenty equal answers, one entry."""
    user = await exchange.user("a@x.io", "1")
    sessions = [await asyncpg.connect(exchange.dsn) for _ in range(20)]
    answers = await asyncio.gather(*(deposit(s, user, usdc("10"), "one", NOON) for s in sessions))
    assert answers == [balance_of("11")] * 20
    assert await wallet_and_entries(exchange, user) == (11_000_000, 2)
    for session in sessions:
        await session.close()


async def test_an_administrators_key_raced_over_many_users_credits_one(exchange: Exchange) -> None:
    """The key's row decides between transactions that lock different accounts."""
    users = [await exchange.user(f"u{n}@x.io", "1") for n in range(8)]
    sessions = [await asyncpg.connect(exchange.dsn) for _ in users]
    answers = await asyncio.gather(
        *(deposit(s, user, usdc("10"), "one", NOON, caller=users[0]) for s, user in zip(sessions, users, strict=True))
    )
    assert answers.count(balance_of("11")) == 1
    refusals = [answer.code for answer in answers if isinstance(answer, Refused)]
    assert refusals == [ErrorCode.IDEMPOTENCY_CONFLICT] * 7
    for session in sessions:
        await session.close()
