"""What people read: views with every field, on rows that a real engine and projection made."""

from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from schemas.commands import IndexSet, OrderCancelled
from schemas.orders import OrderType, Side, TimeInForce
from schemas.rest import BalanceView, FillView, MarketView, OrderView, PositionView
from schemas.units import Nanos, Ticks, Timestamp
from store.queries.balances import list_balances
from store.queries.fills import list_fills
from store.queries.markets import list_markets, read_market
from store.queries.orders import list_orders, read_order
from store.queries.paging import ListRequest
from store.queries.positions import list_positions
from store.queries.progress import read_progress
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"
ALL = ListRequest(limit=500)
NOON_TEXT = "2027-01-15T12:00:00.000000Z"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange."""
    opened = await open_exchange(database)
    yield opened
    await opened.close()


async def positions_of(exchange: Exchange, user: int, request: ListRequest = ALL) -> list[PositionView]:
    """The positions of a user."""
    page = await list_positions(exchange.session, user, request)
    assert not hasattr(page, "code")
    return page.data


async def balance_of(exchange: Exchange, user: int) -> BalanceView:
    """The one balance of a user."""
    page = await list_balances(exchange.session, user, ALL)
    (balance,) = page.data
    return balance


async def long_one_btc(exchange: Exchange, user: int, price: int = 600_000) -> None:
    """The user buys 1 BTC from a rich stranger."""
    other = await exchange.user(f"rich-{user}@x.io", "1000000")
    await exchange.submit(BTC, an_order(user, Side.BUY, 1_000, price))
    await exchange.submit(BTC, an_order(other, Side.SELL, 1_000, price))
    await exchange.settle()


async def test_everyone_has_a_balance_of_the_quote_asset(exchange: Exchange) -> None:
    """Zero when nothing was deposited; nobody's balance is an empty list."""
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
    await exchange.submit(BTC, IndexSet(NOON, Nanos(59_000 * 10**9)))
    await exchange.settle()
    assert await balance_of(exchange, user) == BalanceView("USDC", "10000", "3950", "6050", "6050")
    await exchange.submit(BTC, IndexSet(NOON, Nanos(61_000 * 10**9)))
    await exchange.settle()
    assert await balance_of(exchange, user) == BalanceView("USDC", "10000", "3050", "6950", "7950")


async def test_a_position_is_valued_at_mark(exchange: Exchange) -> None:
    """Wallet 3,000, long 1 from 60,000: liquidated at 57,286.5 (semantics.md section 6)."""
    user = await exchange.user("a@x.io", "3012")
    await long_one_btc(exchange, user)
    await exchange.submit(BTC, IndexSet(NOON, Nanos(61_000 * 10**9)))
    await exchange.settle()
    assert await positions_of(exchange, user) == [
        PositionView(
            market_id=BTC,
            side="LONG",
            quantity="1",
            entry_price="60000.000000",
            mark_price="61000",
            unrealized_pnl="1000",
            realized_pnl="0",
            leverage=20,
            liquidation_price="57286.5",
            initial_margin="3050",
            maintenance_margin="305",
        )
    ]


async def test_an_entry_price_has_six_decimals(exchange: Exchange) -> None:
    """1 lot at 60,000 and 2 lots at 60,000.1 average 60,000.066667; both sides say so, unsigned."""
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
    """A market without a position, or that nobody knows, gives an empty list."""
    user = await exchange.user("a@x.io")
    await long_one_btc(exchange, user)
    assert len(await positions_of(exchange, user, ListRequest(market_id=BTC))) == 1
    assert await positions_of(exchange, user, ListRequest(market_id=ETH)) == []
    assert await positions_of(exchange, user, ListRequest(market_id="no\x00market")) == []


async def test_an_order_shows_every_field_submitted_and_what_became_of_it(exchange: Exchange) -> None:
    """A market order shows its protection price, not a price; times carry microseconds."""
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(maker, Side.SELL, 3, 600_000))
    seq = await exchange.submit(
        BTC,
        an_order(taker, Side.BUY, 5, 606_000, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC),
    )
    await exchange.settle()
    order = await read_order(exchange.session, taker, f"{BTC}-{seq}")
    assert order is not None
    assert msgspec.to_builtins(order) == {
        "orderId": f"{BTC}-{seq}",
        "marketId": BTC,
        "side": "BUY",
        "type": "MARKET",
        "timeInForce": "IOC",
        "quantity": "0.005",
        "price": None,
        "protectionPrice": "60600",
        "remainingQuantity": "0.002",
        "filledQuantity": "0.003",
        "averagePrice": "60000.000000",
        "status": "EXPIRED",
        "reason": "NO_LIQUIDITY",
        "bestOppositePrice": None,
        "reduceOnly": False,
        "postOnly": False,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "leverage": None,
        "clientOrderId": None,
        "expiresAt": None,
        "validUntil": None,
        "cancelRequestedAt": None,
        "createdAt": NOON_TEXT,
        "updatedAt": NOON_TEXT,
    }


async def test_a_cancel_under_way_shows_before_the_order_ends(exchange: Exchange) -> None:
    """The status changes by events alone; cancelRequestedAt tells that one is on its way."""
    user = await exchange.user("a@x.io")
    seq = await exchange.submit(BTC, an_order(user, Side.BUY, 3, 600_000))
    pending = await read_order(exchange.session, user, f"{BTC}-{seq}")
    await exchange.settle()
    await exchange.submit(BTC, OrderCancelled(NOON, user, seq))
    cancelling = await read_order(exchange.session, user, f"{BTC}-{seq}")
    await exchange.settle()
    cancelled = await read_order(exchange.session, user, f"{BTC}-{seq}")
    assert pending is not None
    assert cancelling is not None
    assert cancelled is not None
    assert (pending.status, pending.cancel_requested_at) == ("PENDING", None)
    assert (cancelling.status, cancelling.cancel_requested_at) == ("OPEN", NOON_TEXT)
    assert (cancelled.status, cancelled.reason, cancelled.remaining_quantity) == ("CANCELLED", "USER", "0.003")


async def test_another_users_order_reads_as_an_unknown_one(exchange: Exchange) -> None:
    """Ids of others, of no one and of no form are all None."""
    owner, stranger = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    seq = await exchange.submit(BTC, an_order(owner, Side.BUY, 3, 600_000))
    assert await read_order(exchange.session, owner, f"{BTC}-{seq}") is not None
    assert await read_order(exchange.session, stranger, f"{BTC}-{seq}") is None
    for unknown in [
        f"{BTC}-99",
        f"{ETH}-{seq}",
        f"{BTC}-0{seq}",
        "x",
        "",
        f"{BTC}-999999999999",
        f"DOGE-{seq}",
        "\x00-1",
    ]:
        assert await read_order(exchange.session, owner, unknown) is None, unknown


async def test_lists_give_each_row_once_newest_first_however_small_the_pages(exchange: Exchange) -> None:
    """Pages of 1 to 7 follow each other without a hole or a repeat, for orders and for fills."""
    user, other = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    for second in range(5):
        at = Timestamp(NOON + second * 1_000_000)
        for market, price in ((BTC, 600_000), (ETH, 300_000)):
            await exchange.submit(market, an_order(user, Side.BUY, 1, price, at=at))
            await exchange.submit(market, an_order(other, Side.SELL, 1, price, at=at))
    await exchange.settle()
    for limit in (1, 3, 7, 10, 500):
        orders, fills = await every_order(exchange, user, limit), await every_fill(exchange, user, limit)
        assert len({o.order_id for o in orders}) == len(orders) == 10
        assert [o.created_at for o in orders] == sorted((o.created_at for o in orders), reverse=True)
        assert len({f.trade_id for f in fills}) == len(fills) == 10
        assert [f.time for f in fills] == sorted((f.time for f in fills), reverse=True)


async def every_order(exchange: Exchange, user: int, limit: int) -> list[OrderView]:
    """All pages of a user's orders."""
    page = await list_orders(exchange.session, user, ListRequest(limit=limit))
    found = [*page.data]
    while page.next_cursor is not None:
        page = await list_orders(exchange.session, user, ListRequest(limit=limit, cursor=page.next_cursor))
        assert page.data
        found += page.data
    return found


async def every_fill(exchange: Exchange, user: int, limit: int) -> list[FillView]:
    """All pages of a user's fills."""
    page = await list_fills(exchange.session, user, ListRequest(limit=limit))
    found = [*page.data]
    while page.next_cursor is not None:
        page = await list_fills(exchange.session, user, ListRequest(limit=limit, cursor=page.next_cursor))
        assert page.data
        found += page.data
    return found


async def test_orders_are_filtered_by_market_status_and_period(exchange: Exchange) -> None:
    """From is inclusive, to is exclusive; filters combine."""
    user = await exchange.user("a@x.io")
    for second, market in enumerate([BTC, ETH, BTC]):
        at = Timestamp(NOON + second * 1_000_000)
        await exchange.submit(market, an_order(user, Side.BUY, 1, 290_000 + second, at=at))
    await exchange.settle()
    pending = await exchange.submit(BTC, an_order(user, Side.BUY, 1, 290_000, at=Timestamp(NOON + 3_000_000)))

    async def ids(**filters: object) -> list[str]:
        page = await list_orders(exchange.session, user, ListRequest(**filters))
        return [order.order_id for order in page.data]

    assert await ids(market_id=BTC) == [f"{BTC}-{pending}", f"{BTC}-3", f"{BTC}-2"]
    assert await ids(status="OPEN", market_id=BTC) == [f"{BTC}-3", f"{BTC}-2"]
    assert await ids(from_=NOON + 1_000_000, to=NOON + 2_000_000) == [f"{ETH}-2"]
    assert await ids(from_=-(10**18), to=10**18, status="PENDING") == [f"{BTC}-{pending}"]
    assert await ids(market_id="DOGE-PERP") == await ids(market_id="nul\x00") == []


async def test_fills_are_filtered_by_order_market_and_period(exchange: Exchange) -> None:
    """An order of someone else, or none at all, has no fills for this user."""
    user, other = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    first = await exchange.submit(BTC, an_order(user, Side.BUY, 2, 600_000))
    second = await exchange.submit(BTC, an_order(other, Side.SELL, 1, 600_000))
    third = await exchange.submit(BTC, an_order(other, Side.SELL, 1, 600_000, at=Timestamp(NOON + 1)))
    await exchange.settle()

    async def count(**filters: object) -> int:
        page = await list_fills(exchange.session, user, ListRequest(**filters))
        return len(page.data)

    assert await count(order_id=f"{BTC}-{first}") == 2
    assert [await count(order_id=f"{BTC}-{seq}") for seq in (second, third)] == [0, 0]
    assert await count(order_id="nonsense") == 0
    assert await count(market_id=ETH) == await count(market_id="nul\x00") == 0
    assert await count(from_=NOON + 1) == 1
    assert await count(to=NOON + 1) == 1


async def test_a_fill_names_its_trade_event_and_order(exchange: Exchange) -> None:
    """Both sides of trade 1 of BTC-PERP, with their own fee and role."""
    maker, taker = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(maker, Side.BUY, 2, 600_000))
    await exchange.submit(BTC, an_order(taker, Side.SELL, 2, 600_000))
    await exchange.settle()
    (fill,) = (await list_fills(exchange.session, taker, ALL)).data
    assert msgspec.to_builtins(fill) == {
        "tradeId": f"{BTC}-1",
        "orderId": f"{BTC}-3",
        "marketId": BTC,
        "side": "SELL",
        "liquidityRole": "TAKER",
        "price": "60000",
        "quantity": "0.002",
        "notional": "120",
        "fee": "0.06",
        "realizedPnl": "0",
        "eventId": f"{BTC}:4",
        "cause": "TRADE",
        "time": NOON_TEXT,
    }


async def test_markets_show_their_rules_and_their_mark(exchange: Exchange) -> None:
    """The seed markets as semantics.md section 1 lists them; an unknown market is None."""
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
        max_open_orders=500,
        max_leverage=20,
        initial_margin_rate="0.05",
        maintenance_margin_rate="0.005",
        maker_fee_rate="0.0002",
        taker_fee_rate="0.0005",
        funding_interval_hours=8,
        funding_rate_cap="0.00375",
        reference_price="3000",
        index_price="3000",
        mark_price="3000",
        status="ACTIVE",
    )  # fmt: skip
    for unknown in ("DOGE-PERP", "", "x" * 10_000, "nul\x00"):
        assert await read_market(exchange.session, unknown) is None


async def test_markets_are_paged_by_name(exchange: Exchange) -> None:
    """A page of one leads to the next."""
    first = await list_markets(exchange.session, ListRequest(limit=1))
    assert [market.id for market in first.data] == [BTC]
    second = await list_markets(exchange.session, ListRequest(limit=1, cursor=first.next_cursor))
    assert ([market.id for market in second.data], second.next_cursor) == ([ETH], None)


async def test_progress_tells_what_is_behind(exchange: Exchange) -> None:
    """Taken on, persisted, and the chain's hash, of each market."""
    user = await exchange.user("a@x.io")
    await exchange.settle()
    await exchange.submit(BTC, an_order(user, Side.BUY, 1, 600_000, margin_price=Ticks(600_000)))
    progress = await read_progress(exchange.session)
    assert (progress[BTC].taken_seq, progress[BTC].command_seq, progress[BTC].behind) == (2, 1, 1)
    assert (progress[ETH].event_seq, progress[ETH].behind) == (1, 0)
    assert progress[BTC].event_hash == exchange.markets[BTC].event_hash
