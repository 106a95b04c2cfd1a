"""The one reader of accounts, and the column that says an account is being closed (migration 0016)."""

import pytest

from exchange.risk.account import MarginAccount
from schemas.ids import INSURANCE_FUND
from store.margin_accounts import read_account
from store.session.connect import Session
from tests.store.account_builder import USDC, hold, session_to, user_with

_LOCKED_BEFORE = "SELECT liquidation_id FROM lock_submission(ARRAY[$1::int8], NULL, NULL, NULL) WHERE kind = 'account'"


async def account_of(session: Session, user: int) -> MarginAccount:
    """The account of a user that there is."""
    account = await read_account(session, user)
    assert account is not None
    return account


@pytest.mark.parametrize(("written", "is_closing"), [(9, False), (-9, True), (None, False)])
async def test_the_release_before_closes_an_account_by_the_sign(
    database: str, written: int | None, *, is_closing: bool
) -> None:
    """It writes no other column, and finds its sign again; this release reads the number and the column."""
    async with session_to(database) as session:
        user = await user_with(session, USDC)
        await session.execute("UPDATE accounts SET liquidation_id = -1 WHERE user_id = $1", user)
        await session.execute("UPDATE accounts SET liquidation_id = $2 WHERE user_id = $1", user, written)
        account = await account_of(session, user)
        assert (account.liquidation_id, account.is_closing) == (abs(written) if written else None, is_closing)
        assert await session.fetchval(_LOCKED_BEFORE, user) == written


async def test_an_account_comes_with_every_position_and_the_market_that_values_it(database: str) -> None:
    """By market id; a market without position and live order is left out."""
    async with session_to(database) as session:
        user = await user_with(session, 5 * USDC)
        await hold(session, user, 2, lots=3, cost=9 * USDC)
        await hold(session, user, 1, lots=-1, cost=-60 * USDC)
        account = await account_of(session, user)
        assert [(name, risk.lots) for name, risk in account.exposures.items()] == [("BTC-PERP", -1), ("ETH-PERP", 3)]
        assert (account.wallet, account.may_only_reduce) == (5 * USDC, False)
        await session.execute("UPDATE markets SET is_frozen = true WHERE market_id = 2")
        assert (await account_of(session, user)).may_only_reduce


async def test_the_wallet_of_the_fund_is_its_house_account(database: str) -> None:
    """Its row in accounts holds no money."""
    async with session_to(database) as session:
        fund = await session.fetchval("SELECT coalesce(sum(amount), 0)::int8 FROM ledger WHERE account = -3")
        assert (await account_of(session, INSURANCE_FUND)).wallet == fund > 0
