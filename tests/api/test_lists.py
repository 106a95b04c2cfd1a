from urllib.parse import quote

from tests.api.exchange import Client, Exchange

MALFORMED = [
    "limit=0",
    "limit=501",
    "limit=-1",
    "limit=+5",
    "limit=1.5",
    "limit=1e2",
    "limit=ten",
    "limit=%D9%A5",
    "limit=",
    "limit=5&limit=6",
    "cursor=nonsense",
    "cursor=%00",
    "cursor=%ED%A0%80",
    "cursor=" + "A" * 300,
    "cursor=bnVsbA",
    "from=yesterday",
    "from=2026-01-01T00:00:00",
    "from=1700000000",
    "to=2026-13-01T00:00:00Z",
    "status=OPENED",
    "status=open",
    "marketId=%00",
    "order=1",
    "user=2",
    "%00=1",
]


async def _ids(client: Client, path: str) -> list[str]:
    page = (await client.get(path)).body
    return [order["orderId"] for order in page["data"]]


async def test_a_list_is_a_bare_array_without_and_a_page_with_parameters(exchange: Exchange) -> None:
    """A bare array when nothing is asked; `{data, nextCursor}` as soon as anything is."""
    alice = await exchange.user()
    for path in ("/markets", "/balances", "/positions", "/orders", "/fills"):
        bare, page = await alice.get(path), await alice.get(f"{path}?limit=500")
        assert isinstance(bare.body, list)
        assert page.body == {"data": bare.body, "nextCursor": None}
        assert "Link" not in bare.headers


async def test_pages_follow_each_other_newest_first_without_holes(exchange: Exchange) -> None:
    """Every order once, in order, for any page size."""
    alice = await exchange.user()
    placed = [(await alice.order(quantity="0.001")).body["orderId"] for _ in range(7)]
    seen, cursor = [], ""
    while True:
        page = (await alice.get(f"/orders?limit=3{cursor}")).body
        seen += [order["orderId"] for order in page["data"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == placed[::-1]


async def test_a_bare_array_of_more_than_500_links_to_the_next_page(exchange: Exchange) -> None:
    """At most 500 newest, and `Link: rel="next"` leads on."""
    alice = await exchange.user()
    await alice.order(quantity="0.001")
    await exchange.execute(
        "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('order_id', o.order_id + i,"
        " 'is_live', false, 'status', 'CANCELLED'))).* FROM orders o, generate_series(1, 500) i"
    )
    bare = await alice.get("/orders")
    assert len(bare.body) == 500
    link = bare.headers["Link"]
    assert link.endswith('>; rel="next"')
    following = (await alice.get(link[1 : link.index(">")])).body
    assert len(following["data"]) == 1
    assert following["nextCursor"] is None


async def test_orders_are_filtered_by_market_status_and_time(exchange: Exchange) -> None:
    """marketId, status, from (inclusive) and to (exclusive)."""
    alice = await exchange.user()
    bitcoin = (await alice.order(quantity="0.001")).body["orderId"]
    ether = (await alice.order(marketId="ETH-PERP", quantity="0.01", price="3000")).body["orderId"]
    await exchange.run_engine()
    late = (await alice.order(quantity="0.002")).body["orderId"]
    assert await _ids(alice, "/orders?marketId=ETH-PERP") == [ether]
    assert await _ids(alice, "/orders?status=PENDING") == [late]
    created = quote((await alice.get(f"/orders/{ether}")).body["createdAt"])
    assert await _ids(alice, f"/orders?from={created}") == [late, ether]
    assert await _ids(alice, f"/orders?to={created}") == [bitcoin]


async def test_fills_are_filtered_by_order(exchange: Exchange) -> None:
    """Only the fills of the order that is named."""
    alice, bob = await exchange.user(), await exchange.user()
    orders = [(await alice.order(quantity="0.001")).body["orderId"] for _ in range(2)]
    await bob.order(side="SELL", quantity="0.002")
    await exchange.run_engine()
    fills = (await alice.get(f"/fills?orderId={orders[1]}")).body["data"]
    assert [fill["orderId"] for fill in fills] == [orders[1]]
    assert len((await alice.get("/fills?marketId=BTC-PERP")).body["data"]) == 2


async def test_positions_and_markets_show_the_contracts_fields(exchange: Exchange) -> None:
    """Every field of the contract, money as strings."""
    market = (await exchange.anonymous().get("/markets/BTC-PERP")).body
    assert {
        "id": "BTC-PERP",
        "symbol": "BTC-PERP",
        "baseAsset": "BTC",
        "quoteAsset": "USDC",
        "maxLeverage": 20,
        "initialMarginRate": "0.05",
        "maintenanceMarginRate": "0.005",
        "makerFeeRate": "0.0002",
        "takerFeeRate": "0.0005",
        "fundingIntervalHours": 8,
        "fundingRateCap": "0.00375",
        "status": "ACTIVE",
        "tickSize": "0.1",
        "lotSize": "0.001",
        "minQuantity": "0.001",
        "maxQuantity": "1000",
        "minNotional": "5",
        "priceBand": "0.1",
        "maxOpenOrders": 500,
    }.items() <= market.items()


async def test_a_malformed_or_unknown_parameter_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST: nothing that was asked is passed over in silence."""
    alice = await exchange.user(None)
    for query in MALFORMED:
        refused = await alice.get(f"/orders?{query}")
        assert (refused.status, refused.code) == (400, "INVALID_REQUEST"), query


async def test_a_parameter_that_a_route_does_not_have_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST on every route, not on lists alone."""
    alice = await exchange.user(None)
    for path in ("/markets/BTC-PERP?x=1", "/orders/BTC-PERP-2?x=1", "/markets?marketId=BTC-PERP"):
        assert (await alice.get(path)).code == "INVALID_REQUEST", path
