"""Orders and fills as people read them: every field, every filter, page by page."""

from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from schemas.commands import CancelOrder
from schemas.orders import OrderStatus, OrderType, Side, TimeInForce
from schemas.rest.orders import FillView, OrderView
from schemas.units import Timestamp
from store.queries.accounts.fills import list_fills
from store.queries.accounts.orders import list_orders, read_order
from store.queries.paging import ListRequest
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
        "cutQuantity": "0",
        "price": None,
        "protectionPrice": "60600",
        "maxSlippage": None,
        "remainingQuantity": "0.002",
        "filledQuantity": "0.003",
        "averagePrice": "60000",
        "status": "EXPIRED",
        "reason": "NO_LIQUIDITY",
        "bestOppositePrice": None,
        "reduceOnly": False,
        "postOnly": False,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "leverage": 20,
        "leverageSince": order.leverage_since,
        "submittedLeverage": None,
        "liquidationFee": None,
        "clientOrderId": None,
        "expiresAt": None,
        "validUntil": None,
        "cancelRequestedAt": None,
        "createdAt": NOON_TEXT,
        "updatedAt": NOON_TEXT,
    }


async def test_an_order_that_reduce_only_cut_is_filled_to_the_last_of_its_quantity(exchange: Exchange) -> None:
    """Of 5 lots against a position of 3 two are cut: an order for 3 that fills 3, not one for 5 that is FILLED at 3."""
    maker, holder = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(maker, Side.SELL, 3, 600_000))
    await exchange.submit(BTC, an_order(holder, Side.BUY, 3, 600_000))
    cut = await exchange.submit(BTC, an_order(holder, Side.SELL, 5, 600_000, reduce_only=True))
    await exchange.settle()
    resting = await read_order(exchange.session, holder, f"{BTC}-{cut}")
    await exchange.submit(BTC, an_order(maker, Side.BUY, 3, 600_000))
    await exchange.settle()
    filled = await read_order(exchange.session, holder, f"{BTC}-{cut}")
    for order, status, filled_quantity in ((resting, "OPEN", "0"), (filled, "FILLED", "0.003")):
        assert order is not None
        assert (order.quantity, order.cut_quantity) == ("0.003", "0.002")
        assert (order.status, order.filled_quantity) == (status, filled_quantity)


async def test_a_cancel_under_way_shows_before_the_order_ends(exchange: Exchange) -> None:
    """The status changes by events alone; cancelRequestedAt shows that one is pending."""
    user = await exchange.user("a@x.io")
    seq = await exchange.submit(BTC, an_order(user, Side.BUY, 3, 600_000))
    pending = await read_order(exchange.session, user, f"{BTC}-{seq}")
    await exchange.settle()
    await exchange.submit(BTC, CancelOrder(NOON, user, seq))
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
    owner, other_user = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    seq = await exchange.submit(BTC, an_order(owner, Side.BUY, 3, 600_000))
    assert await read_order(exchange.session, owner, f"{BTC}-{seq}") is not None
    assert await read_order(exchange.session, other_user, f"{BTC}-{seq}") is None
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
    assert await ids(statuses=frozenset({OrderStatus.OPEN}), market_id=BTC) == [f"{BTC}-3", f"{BTC}-2"]
    assert await ids(from_=NOON + 1_000_000, to=NOON + 2_000_000) == [f"{ETH}-2"]
    assert await ids(from_=-(10**18), to=10**18, statuses=frozenset({OrderStatus.PENDING})) == [f"{BTC}-{pending}"]
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
        "clientOrderId": None,
        "marketId": BTC,
        "side": "SELL",
        "liquidityRole": "TAKER",
        "price": "60000",
        "quantity": "0.002",
        "notional": "120",
        "fee": "0.06",
        "feeAsset": "USDC",
        "realizedPnl": "0",
        "eventId": f"{BTC}:4",
        "cause": "TRADE",
        "time": NOON_TEXT,
    }
