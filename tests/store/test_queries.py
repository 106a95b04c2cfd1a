"""What people read: views with every field, on rows that a real engine and projection made."""

from collections.abc import AsyncIterator

import pytest_asyncio

from schemas.commands import SetIndex
from schemas.orders import Side
from schemas.refusals import Refused
from schemas.rest.accounts import BalanceView, PositionView
from schemas.rest.markets import MarketView, RiskTierView
from schemas.units import Nanos, Ticks
from schemas.wire import RULES_VERSION
from store.queries.accounts.adl import AdlRanks
from store.queries.accounts.balances import list_balances
from store.queries.accounts.positions import Ranking, list_positions
from store.queries.market_data.markets import list_markets, read_market
from store.queries.operations.progress import read_progress
from store.queries.paging import ListRequest
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"
ALL = ListRequest(limit=500)


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange."""
    opened = await open_exchange(database)
    yield opened
    await opened.close()


async def positions_of(exchange: Exchange, user: int, request: ListRequest = ALL) -> list[PositionView]:
    """The positions of a user."""
    page = await list_positions(exchange.session, user, request, Ranking(AdlRanks(), NOON))
    assert not isinstance(page, Refused)
    return page.data


async def balance_of(exchange: Exchange, user: int) -> BalanceView:
    """The one balance of a user."""
    page = await list_balances(exchange.session, user, ALL)
    (balance,) = page.data
    return balance


async def long_one_btc(exchange: Exchange, user: int, price: int = 600_000) -> None:
    """The user buys 1 BTC from another, rich user."""
    other = await exchange.user(f"rich-{user}@x.io", "1000000")
    await exchange.submit(BTC, an_order(user, Side.BUY, 1_000, price))
    await exchange.submit(BTC, an_order(other, Side.SELL, 1_000, price))
    await exchange.settle()


async def test_everyone_has_a_balance_of_the_quote_asset(exchange: Exchange) -> None:
    """Zero when nothing was deposited; the balance of an unknown user is an empty list."""
    user = await exchange.session.fetchval(
        "WITH u AS (INSERT INTO users (email, password_hash, created_at) VALUES ('n@x.io', '', '2027-01-01Z') "
        "RETURNING user_id) INSERT INTO accounts SELECT user_id FROM u RETURNING user_id"
    )
    assert await balance_of(exchange, user) == BalanceView("USDC", "0", "0", "0", "0")
    assert (await list_balances(exchange.session, 999, ALL)).data == []


async def test_a_balance_locks_what_margin_and_losses_need(exchange: Exchange) -> None:
    """Long 1 BTC from 60,000 at mark 59,000: loss 1,000 and margin 2,950 are locked; profit would not be paid out."""
    user = await exchange.user("a@x.io", "10012")
    await long_one_btc(exchange, user)
    await exchange.submit(BTC, SetIndex(NOON, Nanos(59_000 * 10**9)))
    await exchange.settle()
    assert await balance_of(exchange, user) == BalanceView("USDC", "10000", "3950", "6050", "6050")
    await exchange.submit(BTC, SetIndex(NOON, Nanos(61_000 * 10**9)))
    await exchange.settle()
    assert await balance_of(exchange, user) == BalanceView("USDC", "10000", "3050", "6950", "7950")


async def test_a_position_is_valued_at_mark(exchange: Exchange) -> None:
    """Wallet 3,000, long 1 from 60,000: liquidated at 57,286.5 (docs/semantics.md, "Liquidation")."""
    user = await exchange.user("a@x.io", "3012")
    await long_one_btc(exchange, user)
    await exchange.submit(BTC, SetIndex(NOON, Nanos(61_000 * 10**9)))
    await exchange.settle()
    since = (await positions_of(exchange, user))[0].leverage_since
    assert since is not None
    assert await positions_of(exchange, user) == [
        PositionView(
            market_id=BTC,
            side="LONG",
            quantity="1",
            entry_price="60000",
            mark_price="61000",
            unrealized_pnl="1000",
            realized_pnl="0",
            leverage=20,
            leverage_since=since,
            liquidation_price="57286.5",
            initial_margin="3050",
            maintenance_margin="305",
            adl_rank=4,
        )
    ]


async def test_an_entry_price_has_six_decimals(exchange: Exchange) -> None:
    """1 lot at 60,000 and 2 lots at 60,000.1 average 60,000.066667; both sides show it, unsigned."""
    buyer, seller = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    for lots, price in ((1, 600_000), (2, 600_001)):
        await exchange.submit(BTC, an_order(seller, Side.SELL, lots, price))
        await exchange.submit(BTC, an_order(buyer, Side.BUY, lots, price))
    await exchange.settle()
    views = [(await positions_of(exchange, user))[0] for user in (buyer, seller)]
    assert [(v.side, v.quantity, v.entry_price) for v in views] == [
        ("LONG", "0.003", "60000.066667"),
        ("SHORT", "0.003", "60000.066667"),
    ]


async def test_positions_are_filtered_by_market(exchange: Exchange) -> None:
    """A market without a position, or that does not exist, gives an empty list."""
    user = await exchange.user("a@x.io")
    await long_one_btc(exchange, user)
    assert len(await positions_of(exchange, user, ListRequest(market_id=BTC))) == 1
    assert await positions_of(exchange, user, ListRequest(market_id=ETH)) == []
    assert await positions_of(exchange, user, ListRequest(market_id="no\x00market")) == []


async def test_markets_show_their_rules_and_their_mark(exchange: Exchange) -> None:
    """The seed markets as docs/semantics.md, "Units", lists them; an unknown market is None."""
    page = await list_markets(exchange.session, ALL)
    assert [market.id for market in page.data] == [BTC, ETH]
    market = await read_market(exchange.session, ETH)
    assert market == page.data[1] == MarketView(
        id=ETH,
        symbol=ETH,
        base_asset="ETH",
        quote_asset="USDC",
        tick_size="0.01",
        lot_size="0.01",
        min_quantity="0.01",
        max_quantity="10000",
        min_notional="5",
        price_band="0.1",
        take_bound="0.01",
        max_open_orders=500,
        max_conditional_orders=50,
        max_leverage=20,
        initial_margin_rate="0.05",
        maintenance_margin_rate="0.005",
        risk_tiers=[RiskTierView("1000000000000", "0.05", "0.005", 20)],
        max_open_interest="0",
        maker_fee_rate="0.0002",
        taker_fee_rate="0.0005",
        funding_interval_hours=8,
        funding_rate_cap="0.00375",
        reference_price="3000",
        index_price="3000",
        mark_price="3000",
        funding_rate="0",
        predicted_funding_rate=None,
        next_funding_time=None,
        status="ACTIVE",
        rules=RULES_VERSION,
    )  # fmt: skip
    for unknown in ("DOGE-PERP", "", "x" * 10_000, "nul\x00"):
        assert await read_market(exchange.session, unknown) is None


async def test_markets_are_paged_by_name(exchange: Exchange) -> None:
    """A page of one leads to the next."""
    first = await list_markets(exchange.session, ListRequest(limit=1))
    assert [market.id for market in first.data] == [BTC]
    second = await list_markets(exchange.session, ListRequest(limit=1, cursor=first.next_cursor))
    assert ([market.id for market in second.data], second.next_cursor) == ([ETH], None)


async def test_progress_gives_the_lag(exchange: Exchange) -> None:
    """Accepted, persisted, and the chain's hash, of each market."""
    user = await exchange.user("a@x.io")
    await exchange.settle()
    await exchange.submit(BTC, an_order(user, Side.BUY, 1, 600_000, margin_price=Ticks(600_000)))
    progress = await read_progress(exchange.session)
    assert (progress[BTC].taken_seq, progress[BTC].command_seq, progress[BTC].behind) == (2, 1, 1)
    assert (progress[ETH].event_seq, progress[ETH].behind) == (1, 0)
    assert progress[BTC].event_hash == exchange.markets[BTC].event_hash
