"""Lists oldest first, by status and by last change."""

from typing import Any

from tests.api.exchange import Client, Exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"
LISTS = ("/orders", "/fills", "/ledger", f"/markets/{BTC}/trades", f"/markets/{BTC}/candles", "/insurance-fund")


async def pages(client: Client, path: str, limit: int) -> list[Any]:
    """Every item of a list, page by page."""
    items, cursor, joint = [], "", "&" if "?" in path else "?"
    while True:
        page = (await client.get(f"{path}{joint}limit={limit}{cursor}")).body
        items += page["data"]
        if page["nextCursor"] is None:
            return items
        cursor = f"&cursor={page['nextCursor']}"


async def traded(exchange: Exchange) -> tuple[Client, Client]:
    """Four orders and three fills of each in two markets."""
    alice, bob = await exchange.user("100000"), await exchange.user("100000")
    for market, price in ((BTC, "60000"), (ETH, "3000"), (BTC, "60000")):
        await alice.order(marketId=market, price=price)
        await bob.order(marketId=market, price=price, side="SELL")
        await exchange.run_engine()
    await alice.order(price="59000")
    await exchange.run_engine()
    return alice, bob


async def test_oldest_first_is_newest_first_reversed(exchange: Exchange) -> None:
    """In pages of any size; `desc` is the default, another word is refused."""
    alice, _ = await traded(exchange)
    for path in LISTS:
        newest = await pages(alice, path, 100)
        for limit in (1, 2, 3, 100):
            assert await pages(alice, f"{path}?order=asc", limit) == newest[::-1], (path, limit)
            assert await pages(alice, f"{path}?order=desc", limit) == newest, (path, limit)
        assert (await alice.get(f"{path}?order=up")).code == "INVALID_REQUEST"
    assert len(await pages(alice, "/fills?order=asc", 2)) == 3


async def test_rows_that_arrive_late_are_shown_once(exchange: Exchange) -> None:
    """Between two pages fills arrive, of times before and after the last one shown: each is shown, none twice."""
    alice, _ = await traded(exchange)
    first = (await alice.get("/fills?order=asc&limit=2")).body
    late = (
        "INSERT INTO fills SELECT market_id, trade_id + $1, role, event_seq + $1, order_id, user_id, side, price, quantity,"
        " notional, fee, realized, cause, at + $2::int * interval '1 minute' FROM fills WHERE user_id = $3 AND market_id = 1"
    )
    await exchange.execute(late, 100, -5, alice.user)
    await exchange.execute(late, 1_000, 5, alice.user)
    await exchange.execute("UPDATE progress SET event_seq = event_seq + 2000 WHERE market_id = 1")
    seen, cursor = first["data"], first["nextCursor"]
    while cursor:
        page = (await alice.get(f"/fills?order=asc&limit=2&cursor={cursor}")).body
        seen, cursor = [*seen, *page["data"]], page["nextCursor"]
    everything = [fill["tradeId"] for fill in await pages(alice, "/fills", 100)]
    assert len(everything) == len(set(everything)) > 5
    assert sorted(fill["tradeId"] for fill in seen) == sorted(everything)


async def test_orders_of_several_statuses(exchange: Exchange) -> None:
    """Those named, in one read; LIVE stands for all that are; a repeated, empty or unknown one is refused."""
    alice, _ = await traded(exchange)
    pending = (await alice.order()).body["orderId"]

    async def found(statuses: str) -> list[str]:
        return [order["status"] for order in (await alice.get(f"/orders?status={statuses}")).body["data"]]

    assert await found("LIVE") == ["PENDING", "OPEN"]
    assert await found("OPEN") == ["OPEN"]
    assert await found("FILLED,OPEN") == ["OPEN", "FILLED", "FILLED", "FILLED"]
    assert await found("LIVE,FILLED") == ["PENDING", "OPEN", "FILLED", "FILLED", "FILLED"]
    assert (await alice.get("/orders?status=PENDING&order=asc")).body["data"][0]["orderId"] == pending
    for wrong in ("OPEN,OPEN", "OPEN,", "live", "CLOSED", "OPEN&status=FILLED"):
        assert (await alice.get(f"/orders?status={wrong}")).code == "INVALID_REQUEST", wrong


async def test_orders_in_the_order_of_their_last_change(exchange: Exchange) -> None:
    """What changed at or after a time, live or ended, also what ended before the time of the end was kept."""
    alice, _ = await traded(exchange)
    created = await pages(alice, "/orders?order=asc", 100)
    await alice.cancel(created[3]["orderId"])
    await exchange.run_engine()
    late = (await alice.order(price="58000")).body["orderId"]
    await exchange.execute("UPDATE orders SET ended_at = NULL WHERE order_id = (SELECT min(order_id) FROM orders)")
    everything = await pages(alice, "/orders?updatedFrom=2020-01-01T00:00:00Z&order=asc", 2)
    assert [order["orderId"] for order in everything] == [*(order["orderId"] for order in created), late]
    changes = [order["updatedAt"] for order in everything]
    assert changes == sorted(changes)
    assert await pages(alice, "/orders?updatedFrom=2020-01-01T00:00:00Z", 2) == everything[::-1]
    since = await pages(alice, f"/orders?updatedFrom={everything[3]['updatedAt']}&order=asc", 1)
    assert since == everything[3:]
    ended = await pages(alice, "/orders?updatedFrom=2020-01-01T00:00:00Z&status=CANCELLED,FILLED", 2)
    assert [order["status"] for order in ended] == ["CANCELLED", "FILLED", "FILLED", "FILLED"]
