"""Withdrawals: exact, once for each idempotency key, and never more than margin leaves free, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from schemas.commands import SetIndex
from schemas.orders import Side
from schemas.refusals import ErrorCode, Refused
from schemas.rest.accounts import BalanceView
from schemas.rest.transfers import DepositRequest, WithdrawalRequest
from schemas.units import Nanos
from store.audit.audit import audit
from store.money.deposits import deposit as deposited
from store.money.withdrawals import withdraw as withdrawn
from store.queries.accounts.balances import list_balances
from store.queries.paging import ListRequest
from tests.store.projection_builders import NOON, Exchange, an_order, balance_in, open_exchange

BTC = "BTC-PERP"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange; its books must balance after any withdrawals."""
    opened = await open_exchange(database)
    yield opened
    assert await audit(opened.session) == []
    await opened.close()


async def deposit(*arguments: Any, **options: Any) -> BalanceView | Refused:
    """Deposit; the balance after it."""
    return balance_in(await deposited(*arguments, **options))


async def withdraw(*arguments: Any, **options: Any) -> BalanceView | Refused:
    """Withdraw; the balance after it."""
    return balance_in(await withdrawn(*arguments, **options))


def usdc(amount: str) -> WithdrawalRequest:
    """A withdrawal of USDC."""
    return WithdrawalRequest("USDC", amount)


async def take(exchange: Exchange, user: int, amount: str, key: str | None = None) -> BalanceView | Refused:
    """Withdraw on the exchange's own session."""
    return await withdraw(exchange.session, user, usdc(amount), key, NOON)


async def trade(exchange: Exchange, index: int) -> tuple[int, int]:
    """A buyer and a seller of 0.1 BTC at 60,000, valued at the index that follows."""
    buyer, seller = await exchange.user("b@x.io"), await exchange.user("s@x.io")
    await exchange.submit(BTC, an_order(buyer, Side.BUY, 100, 600_000, loss_per_lot=0, fee_per_lot=0))
    await exchange.submit(BTC, an_order(seller, Side.SELL, 100, 600_000, loss_per_lot=0, fee_per_lot=0))
    await exchange.submit(BTC, SetIndex(NOON, Nanos(index * 10**9)))
    await exchange.settle()
    return buyer, seller


async def test_a_withdrawal_is_a_ledger_entry_and_the_balance_in_one(exchange: Exchange) -> None:
    """2,500.5 USDC leave the wallet and the ledger, with the balance after them, and arrive outside."""
    user = await exchange.user("a@x.io")
    assert await take(exchange, user, "2500.500000") == BalanceView("USDC", "7499.5", "0", "7499.5", "7499.5")
    rows = await exchange.session.fetch(
        "SELECT account, type, amount, balance_after FROM ledger WHERE transfer_id = (SELECT max(transfer_id) "
        "FROM ledger) ORDER BY account"
    )
    assert [tuple(row) for row in rows] == [
        (-1, "WITHDRAW", 2_500_500_000, None),
        (user, "WITHDRAW", -2_500_500_000, 7_499_500_000),
    ]
    assert await exchange.session.fetchval("SELECT paid_in FROM conservation") == 1_007_499_500_000


async def test_a_wallet_can_be_emptied_and_no_further(exchange: Exchange) -> None:
    """The last micro leaves, the next one is INSUFFICIENT_BALANCE and says both numbers."""
    user = await exchange.user("a@x.io", "10")
    assert await take(exchange, user, "10.000001") == Refused(
        ErrorCode.INSUFFICIENT_BALANCE, "more than can be withdrawn", {"requested": "10.000001", "available": "10"}
    )
    assert await take(exchange, user, "10") == BalanceView("USDC", "0", "0", "0", "0")
    refused = await take(exchange, user, "0.000001")
    assert isinstance(refused, Refused)
    assert refused.details == {"requested": "0.000001", "available": "0"}


async def test_what_live_orders_lock_stays(exchange: Exchange) -> None:
    """0.01 BTC at 60,000: margin of 30 and reserved fees of 0.00007 cannot leave."""
    user = await exchange.user("a@x.io")
    await exchange.submit(BTC, an_order(user, Side.BUY, 10, 600_000, margin_price=600_000, loss_per_lot=0))
    refused = await take(exchange, user, "9969.999931")
    assert isinstance(refused, Refused)
    assert refused.details == {"requested": "9969.999931", "available": "9969.99993"}
    assert await take(exchange, user, "9969.99993") == BalanceView("USDC", "30.00007", "30.00007", "0", "0")


@pytest.mark.parametrize(("index", "of_buyer", "of_seller"), [(61_000, "9693.8", "9592"), (59_000, "9603.8", "9702")])
async def test_an_open_loss_stays_and_an_open_profit_is_not_paid_out(
    exchange: Exchange, index: int, of_buyer: str, of_seller: str
) -> None:
    """0.1 BTC, over a move of 1,000: the loser leaves 100 and the margin (305, 295), the winner the margin; fees were 1.2 and 3."""
    available = []
    for user in await trade(exchange, index):
        refused = await take(exchange, user, "10000")
        assert isinstance(refused, Refused)
        assert refused.details is not None
        available.append(refused.details["available"])
    assert available == [of_buyer, of_seller]


@pytest.mark.parametrize(
    "danger",
    [
        "UPDATE accounts SET liquidation_id = 1",
        "UPDATE markets SET is_frozen = true WHERE name = 'BTC-PERP'",
        "UPDATE accounts SET frozen_at = now()",
    ],
)
async def test_nothing_leaves_during_a_liquidation_or_on_a_frozen_mark(exchange: Exchange, danger: str) -> None:
    """Available is 0, in the balance as in the refusal, although thousands are free; afterwards they leave."""
    buyer, _ = await trade(exchange, 60_000)
    await exchange.session.execute(danger)
    refused = await take(exchange, buyer, "1")
    assert isinstance(refused, Refused)
    named = {"reason": "LIQUIDATION"} if "accounts" in danger else {"reason": "MARK_FROZEN", "marketId": "BTC-PERP"}
    named = {"reason": "ACCOUNT_FROZEN"} if "frozen_at" in danger else named
    assert (refused.code, refused.details) == (
        ErrorCode.INSUFFICIENT_BALANCE,
        {"requested": "1", "available": "0"} | named,
    )
    balance = (await list_balances(exchange.session, buyer, ListRequest())).data[0]
    assert (balance.total, balance.locked, balance.available) == ("9998.8", "9998.8", "0")
    await exchange.session.execute("UPDATE accounts SET liquidation_id = NULL, frozen_at = NULL")
    await exchange.session.execute("UPDATE markets SET is_frozen = false")
    assert not isinstance(await take(exchange, buyer, "9698.8"), Refused)


async def test_a_frozen_mark_binds_only_those_who_hold_a_position_there(exchange: Exchange) -> None:
    """Money without a position leaves."""
    user = await exchange.user("a@x.io", "10")
    await exchange.session.execute("UPDATE markets SET is_frozen = true")
    assert await take(exchange, user, "10") == BalanceView("USDC", "0", "0", "0", "0")


async def test_what_is_no_money_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST for zero, seven decimals, above 10^12, signs, exponents, other digits, another asset and key."""
    user = await exchange.user("a@x.io")
    hostile = ["0", "0.0", "0.0000001", "1000000000000.000001", "-1", "1e3", "", " 1", "1\n", "٣", "NaN", "0x10", "+1"]
    answers = [await take(exchange, user, amount) for amount in hostile]
    answers.append(await withdraw(exchange.session, user, WithdrawalRequest("BTC", "1"), None, NOON))
    answers += [await take(exchange, user, "1", key) for key in ("", "two words", "x" * 256)]
    assert {answer.code for answer in answers if isinstance(answer, Refused)} == {ErrorCode.INVALID_REQUEST}
    assert not [answer for answer in answers if not isinstance(answer, Refused)]
    assert await exchange.session.fetchval("SELECT count(*) FROM ledger WHERE account > 0") == 1


async def test_an_unknown_user_has_nothing_to_withdraw(exchange: Exchange) -> None:
    """A token that outlived its user belongs to no user."""
    refused = await take(exchange, 999, "1")
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.UNAUTHENTICATED


async def test_the_same_key_and_body_answer_the_first_answer(exchange: Exchange) -> None:
    """Also when the wallet is empty by now, and when the amount is written otherwise."""
    user = await exchange.user("a@x.io", "10")
    first = await take(exchange, user, "6", "key-1")
    await take(exchange, user, "4")
    assert await take(exchange, user, "6.00", "key-1") == first == BalanceView("USDC", "4", "0", "4", "4")
    assert await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id > 0") == 0


async def test_a_key_is_of_one_request_on_one_route(exchange: Exchange) -> None:
    """IDEMPOTENCY_CONFLICT for another amount, and for a deposit and a withdrawal of the same body."""
    user = await exchange.user("a@x.io", "10")
    await take(exchange, user, "1", "out")
    await deposit(exchange.session, user, DepositRequest("USDC", "1"), "in", NOON)
    answers = [await take(exchange, user, "2", "out"), await take(exchange, user, "1", "in")]
    answers.append(await deposit(exchange.session, user, DepositRequest("USDC", "1"), "out", NOON))
    assert [getattr(answer, "code", None) for answer in answers] == [ErrorCode.IDEMPOTENCY_CONFLICT] * 3
    assert await exchange.session.fetchval("SELECT wallet FROM accounts WHERE user_id > 0") == 10_000_000


async def test_a_refusal_leaves_the_key_free(exchange: Exchange) -> None:
    """What was refused never happened: with the money there, the same request is carried out."""
    user = await exchange.user("a@x.io", "5")
    assert isinstance(await take(exchange, user, "8", "key-1"), Refused)
    await deposit(exchange.session, user, DepositRequest("USDC", "5"), None, NOON)
    assert await take(exchange, user, "8", "key-1") == BalanceView("USDC", "2", "0", "2", "2")


async def test_duplicates_at_once_debit_once(exchange: Exchange) -> None:
    """Twenty requests with one key race: twenty equal answers, one entry."""
    user = await exchange.user("a@x.io", "10")
    sessions = [await asyncpg.connect(exchange.dsn) for _ in range(20)]
    answers = await asyncio.gather(*(withdraw(s, user, usdc("6"), "one", NOON) for s in sessions))
    assert answers == [BalanceView("USDC", "4", "0", "4", "4")] * 20
    assert await exchange.session.fetchval("SELECT count(*) FROM ledger WHERE account = $1", user) == 2
    for session in sessions:
        await session.close()
