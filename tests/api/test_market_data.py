"""Market data over HTTP, from a real engine: book, trades, candles, ticker, and none of them names a user."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.exchange import Client, Exchange
from tests.api.test_history import pages, take_over

BTC = "/markets/BTC-PERP"
PATHS = ("orderbook", "trades", "candles", "ticker")


async def a_market(exchange: Exchange) -> tuple[Client, Client]:
    """Bids 0.3 at 59,990 (two orders) and 0.1 at 59,980, asks 0.4 at 60,010; 0.5 traded at 60,000, then 0.1 at 60,010."""
    alice, bob = await exchange.user("100000"), await exchange.user("100000")
    await alice.order(quantity="0.5")
    await bob.order(side="SELL", quantity="0.5")
    await bob.order(side="SELL", quantity="0.5", price="60010")
    await alice.order(quantity="0.1", price="60010", timeInForce="IOC")
    for quantity, price in (("0.1", "59990"), ("0.2", "59990"), ("0.1", "59980")):
        await alice.order(quantity=quantity, price=price)
    await exchange.run_engine()
    return alice, bob


def levels(side: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """A side of the book, best first."""
    return [(level["price"], level["quantity"], level["orders"]) for level in side]


async def test_the_book_shows_what_rests_by_price(exchange: Exchange) -> None:
    """Best first, summed over the orders of a price; pending orders are not in it, ended ones no more."""
    alice, _ = await a_market(exchange)
    doomed = await alice.order(price="59950")
    await exchange.run_engine()
    await alice.cancel(doomed.body["orderId"])
    await exchange.run_engine()
    await alice.order(price="60000")
    book = (await exchange.anonymous().get(f"{BTC}/orderbook")).body
    assert levels(book["bids"]) == [("59990", "0.3", 2), ("59980", "0.1", 1)]
    assert levels(book["asks"]) == [("60010", "0.4", 1)]
    assert book["sequence"] == await exchange.value("SELECT event_seq FROM progress WHERE market_id = 1")
    assert book["time"] == (await exchange.anonymous().get(f"{BTC}/ticker")).body["time"]
    one = (await exchange.anonymous().get(f"{BTC}/orderbook?depth=1")).body
    assert levels(one["bids"]) == [("59990", "0.3", 2)]
    empty = (await exchange.anonymous().get("/markets/ETH-PERP/orderbook")).body
    assert (empty["bids"], empty["asks"], empty["sequence"]) == ([], [], 1)


async def test_the_trades_of_a_market_are_public_and_paged(exchange: Exchange) -> None:
    """Newest first, by page and by period; a take-over is none."""
    alice, _ = await a_market(exchange)
    whole = (await exchange.anonymous().get(f"{BTC}/trades")).body["data"]
    shown = [
        [t[name] for name in ("tradeId", "sequence", "price", "quantity", "notional", "takerSide", "cause")]
        for t in whole
    ]
    assert shown == [
        ["BTC-PERP-2", 2, "60010", "0.1", "6001", "BUY", "TRADE"],
        ["BTC-PERP-1", 1, "60000", "0.5", "30000", "SELL", "TRADE"],
    ]
    assert [t["time"] for t in whole] == [f["time"] for f in (await alice.get("/fills")).body]
    assert await pages(exchange.anonymous(), f"{BTC}/trades", 1) == whole
    newest = quote(whole[0]["time"])
    assert (await exchange.anonymous().get(f"{BTC}/trades?to={newest}")).body["data"] == [
        trade for trade in whole if trade["time"] < whole[0]["time"]
    ]
    assert whole[0] in (await exchange.anonymous().get(f"{BTC}/trades?from={newest}")).body["data"]
    await exchange.execute("UPDATE fills SET order_id = NULL, cause = 'TAKE_OVER' WHERE trade_id = 2")
    assert (await exchange.anonymous().get(f"{BTC}/trades")).body["data"] == whole[1:]
    nothing = {"data": [], "nextCursor": None}
    assert (await exchange.anonymous().get("/markets/ETH-PERP/trades")).body == nothing


async def test_candles_and_ticker_agree_on_the_same_trades(exchange: Exchange) -> None:
    """0.6 traded between 60,000 and 60,010, last at 60,010; what has not traded yet is null, or no candle at all."""
    await a_market(exchange)
    nobody = exchange.anonymous()
    rows = (await nobody.get(f"{BTC}/candles?interval=1d")).body["data"]
    day = rows[-1] | {"close": rows[0]["close"]}
    prices = [day[name] for name in ("open", "high", "low", "close")]
    assert prices == ["60000", "60010", "60000", "60010"]
    assert sum(row["trades"] for row in rows) == 2
    ticker = (await nobody.get(f"{BTC}/ticker")).body
    assert (ticker["volume24h"], ticker["notional24h"], ticker["trades24h"]) == ("0.6", "36001", 2)
    assert (ticker["lastPrice"], ticker["lastQuantity"], ticker["change24h"]) == ("60010", "0.1", "10")
    assert ticker["changeRate24h"] == "0.000167"
    assert ticker["bestBid"] == {"price": "59990", "quantity": "0.3", "orders": 2}
    assert ticker["bestAsk"] == {"price": "60010", "quantity": "0.4", "orders": 1}
    assert ticker["openInterest"] == "0.6"
    market = (await nobody.get(BTC)).body
    for name in ("markPrice", "indexPrice", "fundingRate", "predictedFundingRate", "nextFundingTime", "status"):
        assert ticker[name] == market[name]
    idle = (await nobody.get("/markets/ETH-PERP/ticker")).body
    for name in ("lastPrice", "lastTime", "bestBid", "bestAsk", "open24h", "high24h", "low24h", "change24h"):
        assert idle[name] is None
    assert (idle["volume24h"], idle["openInterest"], idle["trades24h"]) == ("0", "0", 0)
    assert (await nobody.get("/markets/ETH-PERP/candles?interval=1m")).body == {"data": [], "nextCursor": None}


async def test_open_interest_is_every_long_and_the_funds_too(exchange: Exchange) -> None:
    """What the insurance fund takes over stays open."""
    alice, bob = await exchange.user(), await exchange.user()
    await alice.order(quantity="1")
    await bob.order(side="SELL", quantity="1")
    await exchange.run_engine()
    await take_over(exchange, alice)
    assert (await exchange.anonymous().get(f"{BTC}/ticker")).body["openInterest"] == "1"


@pytest.mark.parametrize("path", PATHS)
async def test_market_data_names_nobody(exchange: Exchange, path: str) -> None:
    """No user, no order, no client id in it, and no number that is not a count."""
    alice, _ = await a_market(exchange)
    await alice.order(clientOrderId="my-secret", price="59000")
    await exchange.run_engine()
    body = (await exchange.anonymous().get(f"{BTC}/{path}")).body
    text = json.dumps(body)
    assert not any(word in text for word in ("orderId", "user", "secret", "Order"))
    counts = {"sequence", "orders", "trades", "trades24h"}
    assert _names_of_numbers(body) <= counts


def _names_of_numbers(value: Any, name: str = "") -> set[str]:
    """The fields that are JSON numbers."""
    if isinstance(value, dict):
        return {found for key, inner in value.items() for found in _names_of_numbers(inner, key)}
    if isinstance(value, list):
        return {found for inner in value for found in _names_of_numbers(inner, name)}
    return {name} if isinstance(value, int | float) and not isinstance(value, bool) else set()


async def test_market_data_of_no_market_and_for_no_query(exchange: Exchange) -> None:
    """MARKET_NOT_FOUND and INVALID_REQUEST, before anything is read."""
    nobody = exchange.anonymous()
    for path in PATHS:
        for name in ("DOGE-PERP", "btc-perp", "x" * 70, "%00"):
            assert (await nobody.get(f"/markets/{name}/{path}")).code == "MARKET_NOT_FOUND"
        assert (await nobody.get(f"{BTC}/{path}?unknown=1")).code == "INVALID_REQUEST"
    malformed = [
        "orderbook?depth=0",
        "orderbook?depth=501",
        "orderbook?depth=-1",
        "orderbook?depth=1.5",
        "orderbook?depth=",
    ]
    malformed += ["orderbook?depth=1&depth=2", "orderbook?depth=%D9%A3", "candles?interval=2m", "candles?interval="]
    malformed += ["candles?interval=1m&interval=1h", "candles?limit=501", "candles?cursor=x", "trades?cursor=bnVsbA"]
    malformed += ["trades?from=yesterday", "trades?limit=0", "candles?interval=1M"]
    for asked in malformed:
        assert (await nobody.get(f"{BTC}/{asked}")).code == "INVALID_REQUEST", asked
    far = ["candles?from=9999-12-31T23:59:59Z", "candles?to=0001-01-01T00:00:00Z", "candles?from=0001-01-01T00:00:00Z"]
    far += [
        "trades?to=9999-12-31T23:59:59Z",
        "candles?to=9999-12-31T23:59:59Z",
        "candles?cursor=MjUzNDAyMzAwNzk5OTk5OTk5",
    ]
    for asked in far:
        assert (await nobody.get(f"{BTC}/{asked}")).body == {"data": [], "nextCursor": None}, asked
