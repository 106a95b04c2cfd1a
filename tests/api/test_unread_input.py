"""What a route does not read is refused: its sender expects it to have an effect."""

from collections.abc import AsyncIterator
from typing import Any

from api.route import Access
from api.routes import ALL_ROUTES
from tests.api.exchange import Exchange, example_path

BTC = "BTC-PERP"
WITHOUT_BODY = [route for route in ALL_ROUTES if route.body is None]


async def test_every_route_without_a_body_refuses_one(exchange: Exchange) -> None:
    """400 for each such route, every GET and DELETE among them; an empty body is none."""
    boss = await exchange.user(is_admin=True)
    deleting = [route.path for route in ALL_ROUTES if route.body is not None and route.method not in {"POST", "PUT"}]
    assert deleting == ["/auth/totp"]
    for route in WITHOUT_BODY:
        path = example_path(route.path)
        refused = await boss.call(route.method, path, {"surprise": 1})
        assert (refused.status, refused.code) == (400, "INVALID_REQUEST"), (route.method, path)
        assert refused.body["error"]["message"] == "this route takes no body"
        plain = await boss.call(route.method, path, data=b"", allow_redirects=False)
        assert plain.code != "INVALID_REQUEST" or path == "/ws", (route.method, path)  # a socket wants a handshake


async def test_every_route_refuses_an_unknown_and_a_repeated_parameter(exchange: Exchange) -> None:
    """400 on each route; a parameter that it has may be given once."""
    boss = await exchange.user(is_admin=True)
    for route in ALL_ROUTES:
        client = exchange.anonymous() if route.access is Access.PUBLIC else boss
        body: Any = None if route.body is None else {"orders": []} if route.path == "/orders/batch" else {}
        for query in ("surprise=1", "limit=1&limit=2"):
            refused = await client.call(route.method, f"{example_path(route.path)}?{query}", body)
            assert refused.status in (400, 404), (route.method, route.path, query)
            assert refused.code in ("INVALID_REQUEST", "INVALID_ORDER", "NOT_FOUND"), (route.path, query, refused.body)


async def test_a_body_in_chunks_is_a_body(exchange: Exchange) -> None:
    """Its length is not declared; no chunk at all is no body."""
    alice = await exchange.user()

    async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    refused = await alice.call("GET", "/orders", data=chunks(b"{", b"}"))
    assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
    assert (await alice.call("GET", "/orders", data=chunks())).status == 200


async def test_a_part_of_a_position_is_closed(exchange: Exchange) -> None:
    """`quantity` of it; more than the position closes the position; a body that does not fit closes nothing."""
    alice, maker = await exchange.user(), await exchange.user("1000000")
    await maker.order(side="SELL", quantity="1")
    await maker.order(quantity="1", price="59990")
    await alice.order(quantity="0.3")
    await exchange.run_engine()

    async def held() -> str:
        await exchange.run_engine()
        positions = (await alice.get("/positions")).body
        return str(positions[0]["quantity"]) if positions else "0"

    assert await held() == "0.3"
    bodies = ({"quantity": 0.01}, {"size": "0.01"}, {"quantity": "0.01", "price": "1"}, {"quantity": "0"}, [], "x")
    for body in bodies:
        refused = await alice.call("POST", f"/positions/{BTC}/close", body)
        assert (refused.status, refused.code) == (400, "INVALID_ORDER"), body
    assert (await alice.call("POST", f"/positions/{BTC}/close", {"quantity": "0.01"})).status == 202
    assert await held() == "0.29"
    assert (await alice.call("POST", f"/positions/{BTC}/close", {})).status == 202
    assert await held() == "0"
    await alice.order(quantity="0.2")
    assert await held() == "0.2"
    more = await alice.call("POST", f"/positions/{BTC}/close", {"quantity": "0.5"})
    assert await held() == "0"
    shown = (await alice.get(more.headers["Location"])).body
    assert (shown["filledQuantity"], shown["cutQuantity"], shown["status"]) == ("0.2", "0.3", "FILLED")


async def test_a_cancel_with_a_body_cancels_nothing(exchange: Exchange) -> None:
    """A plain cancel takes the fast path; this one is refused, and the order stays open."""
    alice = await exchange.user()
    order_id = (await alice.order()).body["orderId"]
    refused = await alice.call("DELETE", f"/orders/{order_id}", {"quantity": "0.01"})
    assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
    assert (await alice.get(f"/orders/{order_id}")).body["cancelRequestedAt"] is None


async def test_a_field_given_twice_in_an_order_of_a_batch_is_refused(exchange: Exchange) -> None:
    """As in a single order: the last of the two would win unseen."""
    alice = await exchange.user()
    bid = '{"marketId":"BTC-PERP","side":"BUY","type":"LIMIT","quantity":"0.1","quantity":"1","price":"60000"}'
    headers = {"Content-Type": "application/json"}
    for path, text in (("/orders", bid), ("/orders/batch", f'{{"orders":[{bid}]}}')):
        refused = await alice.call("POST", path, data=text, headers=headers)
        assert (refused.status, refused.code) == (400, "INVALID_ORDER"), path
