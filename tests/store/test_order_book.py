"""The order book of the tables, compared with the engine's."""

from collections.abc import AsyncIterator

import pytest_asyncio

from exchange.engine.book import Book
from schemas.orders import Side, TimeInForce
from schemas.rest.market_data import OrderBookView
from schemas.units import Ticks
from store.queries.formatting import price_text, quantity_text
from store.queries.market_data.order_book import read_order_book
from tests.store.projection_builders import Exchange, an_order, open_exchange, seeded

BTC = "BTC-PERP"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """A fresh exchange."""
    opened = await open_exchange(database)
    yield opened
    await opened.close()


async def book_of(exchange: Exchange, depth: int = 500) -> OrderBookView:
    """The book of BTC-PERP as it is answered."""
    book = await read_order_book(exchange.session, BTC, depth)
    assert book is not None
    return book


def shown(book: OrderBookView) -> list[tuple[str, str, int]]:
    """Its levels, the highest price first."""
    return [(level.price, level.quantity, level.orders) for level in (*book.asks[::-1], *book.bids)]


async def test_the_book_is_the_engines_book(exchange: Exchange) -> None:
    """After two hundred orders at random: every level, its quantity and its number of orders, after the same event."""
    chance, users = seeded(3), [await exchange.user(f"{n}@x.io", "1000000") for n in range(4)]
    for _ in range(200):
        side, tick = chance.choice((Side.BUY, Side.SELL)), chance.randint(600_000, 600_040)
        in_force = chance.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC))
        order = an_order(chance.choice(users), side, chance.randint(1, 9), tick, time_in_force=in_force)
        await exchange.submit(BTC, order)
    await exchange.settle()
    market = exchange.markets[BTC]
    book = await book_of(exchange)
    assert book.sequence == market.event_seq
    assert len(book.bids) > 3
    assert len(book.asks) > 3
    assert shown(book) == _levels_of(market.book, exchange)
    best = await book_of(exchange, 2)
    assert shown(best) == shown(book)[len(book.asks) - 2 : len(book.asks) + 2]


def _levels_of(book: Book, exchange: Exchange) -> list[tuple[str, str, int]]:
    spec = exchange.registry.by_name[BTC].spec
    levels: dict[int, list[int]] = {}
    for order in (*book.walk(Side.BUY), *book.walk(Side.SELL)):
        levels.setdefault(order.price, []).append(order.remaining)
    return [
        (price_text(spec, Ticks(price)), quantity_text(spec, sum(lots)), len(lots))
        for price, lots in sorted(levels.items(), reverse=True)
    ]


async def test_an_order_still_matching_is_not_in_the_book(exchange: Exchange) -> None:
    """Of a sell that takes two bids one trade is persisted: its rest is nowhere yet, and the book is not crossed."""
    alice, bob = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(alice, Side.BUY, 1, 600_000))
    await exchange.submit(BTC, an_order(alice, Side.BUY, 1, 599_990))
    await exchange.settle()
    await exchange.submit(BTC, an_order(bob, Side.SELL, 5, 599_990))
    await _takes_two_bids_event_by_event(exchange)


async def test_an_amended_order_still_matching_is_not_in_the_book(exchange: Exchange) -> None:
    """It was moved to where it takes two bids: with one of its trades persisted it is nowhere, and the book is not crossed."""
    alice, bob = await exchange.user("a@x.io"), await exchange.user("b@x.io")
    await exchange.submit(BTC, an_order(alice, Side.BUY, 1, 600_000))
    await exchange.submit(BTC, an_order(alice, Side.BUY, 1, 599_990))
    sell = await exchange.submit(BTC, an_order(bob, Side.SELL, 5, 600_100))
    await exchange.settle()
    await exchange.amend(BTC, bob, sell, None, "59999")
    await _takes_two_bids_event_by_event(exchange)


async def test_pending_orders_are_not_in_the_book(exchange: Exchange) -> None:
    """Orders the engine has not answered are not shown; a market that is not listed has no book."""
    alice = await exchange.user("a@x.io")
    await exchange.settle()
    await exchange.submit(BTC, an_order(alice, Side.BUY, 1, 600_000))
    assert shown(await book_of(exchange)) == []
    for unknown in ("DOGE-PERP", "", "nul\x00"):
        assert await read_order_book(exchange.session, unknown, 5) is None


async def _takes_two_bids_event_by_event(exchange: Exchange) -> None:
    """Match a sell that takes both bids and rests; after each persisted event the book shows only what rests."""
    before = await exchange.match(BTC)
    last = exchange.markets[BTC].event_seq
    assert last == before + 3
    for persisted, levels in (
        (before + 1, [("60000", "0.001", 1), ("59999", "0.001", 1)]),
        (before + 2, [("59999", "0.001", 1)]),
        (last, [("59999", "0.003", 1)]),
    ):
        await exchange.projections[BTC].apply(exchange.records(BTC, persisted, persisted))
        book = await book_of(exchange)
        assert (book.sequence, shown(book)) == (persisted, levels)
