"""Facts of the account over REST: leverage of a flat market, cancels by client id, whose state a refusal reports, the time."""

from datetime import UTC, datetime

from tests.api.exchange import Exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"


async def test_leverage_is_shown_where_there_is_no_position(exchange: Exchange) -> None:
    """The market's highest until one is set; by market and in a list of all; as setting it answers."""
    alice = await exchange.user()
    flat = await alice.get(f"/positions/{BTC}/leverage")
    assert (flat.status, flat.body["leverage"], flat.body["initialMargin"]) == (200, 20, "0")
    changed = await alice.call("POST", f"/positions/{BTC}/leverage", {"leverage": 7})
    await alice.order()
    shown = (await alice.get(f"/positions/{BTC}/leverage")).body
    assert shown["leverage"] == changed.body["leverage"] == 7
    assert float(shown["initialMargin"]) > float(changed.body["initialMargin"]) == 0
    listed = (await alice.get("/leverage")).body
    assert [(each["marketId"], each["leverage"]) for each in listed["data"]] == [(BTC, 7), (ETH, 20)]
    assert listed["data"][0] == shown
    first = (await alice.get("/leverage?limit=1")).body
    rest = (await alice.get(f"/leverage?limit=1&cursor={first['nextCursor']}")).body
    assert ([*first["data"], *rest["data"]], rest["nextCursor"]) == (listed["data"], None)
    assert (await alice.get(f"/leverage?marketId={ETH}")).body["data"] == listed["data"][1:]
    assert (await alice.get("/positions/DOGE-PERP/leverage")).code == "MARKET_NOT_FOUND"


async def test_an_order_is_cancelled_by_its_client_id(exchange: Exchange) -> None:
    """As by its own id; another user's client id is as unknown as none."""
    alice, bob = await exchange.user(), await exchange.user()
    placed = await alice.order(clientOrderId="mine")
    unknown = await bob.call("DELETE", "/orders/by-client-id/mine")
    assert (unknown.status, unknown.code, unknown.details) == (404, "ORDER_NOT_FOUND", {"clientOrderId": "mine"})
    cancelled = await alice.call("DELETE", "/orders/by-client-id/mine")
    assert (cancelled.status, cancelled.body) == (202, {"orderId": placed.body["orderId"], "status": "PENDING_CANCEL"})
    await exchange.run_engine()
    ended = await alice.call("DELETE", "/orders/by-client-id/mine")
    assert (ended.status, ended.code, ended.details["status"]) == (409, "ORDER_NOT_OPEN", "CANCELLED")


async def test_a_refused_cancel_reports_the_orders_state(exchange: Exchange) -> None:
    """Under way: the command to wait for, and what was filled so far; ended: how. On either path of the server."""
    alice, bob = await exchange.user(), await exchange.user()
    order_id = (await alice.order()).body["orderId"]
    await bob.order(side="SELL", quantity="0.03")
    await exchange.run_engine()
    first = await alice.cancel(order_id)
    for headers in ({}, {"Connection": "close"}):
        again = await alice.call("DELETE", f"/orders/{order_id}", headers=headers)
        assert (again.status, again.code) == (409, "ORDER_NOT_OPEN")
        assert again.details == {
            "orderId": order_id,
            "reason": "CANCEL_PENDING",
            "status": "PARTIALLY_FILLED",
            "filledQuantity": "0.03",
            "commandId": first.headers["X-Command-Id"],
        }
    everything = await alice.call("DELETE", "/orders")
    [shown] = everything.body["orders"]
    assert (shown["status"], shown["commandId"]) == ("PENDING_CANCEL", first.headers["X-Command-Id"])
    await exchange.run_engine()
    ended = await alice.cancel(order_id)
    assert ended.details == {"orderId": order_id, "reason": "ENDED", "status": "CANCELLED", "filledQuantity": "0.03"}


async def test_a_repeated_transfer_says_that_it_is_one(exchange: Exchange) -> None:
    """`Idempotent-Replayed: true` with the first answer; without a key each is carried out."""
    alice = await exchange.user()
    for path in ("/deposits", "/withdrawals"):
        body, headers = {"asset": "USDC", "amount": "5"}, {"Idempotency-Key": path}
        first, again = [await alice.call("POST", path, body, headers=headers) for _ in range(2)]
        assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in (await alice.call("POST", path, body)).headers


async def test_fills_name_the_clients_order_and_the_asset_of_the_fee(exchange: Exchange) -> None:
    """Null where the order had no client id."""
    alice, bob = await exchange.user(), await exchange.user()
    await alice.order(clientOrderId="mine")
    await bob.order(side="SELL")
    await exchange.run_engine()
    [mine], [theirs] = (await alice.get("/fills")).body, (await bob.get("/fills")).body
    assert (mine["clientOrderId"], mine["feeAsset"]) == ("mine", "USDC")
    assert (theirs["clientOrderId"], theirs["feeAsset"]) == (None, "USDC")


async def test_the_time_is_public(exchange: Exchange) -> None:
    """ISO 8601 with microseconds, between the client's clock before and after."""
    before = datetime.now(UTC)
    reply = await exchange.anonymous().get("/time")
    assert before <= datetime.fromisoformat(reply.body["time"]) <= datetime.now(UTC)


async def test_not_yet_says_when_to_ask_again(exchange: Exchange) -> None:
    """412 with Retry-After, as every answer that the same request may get over."""
    alice = await exchange.user()
    early = await alice.get("/orders", after="BTC-PERP:99")
    assert (early.status, early.code, early.headers["Retry-After"]) == (412, "NOT_YET", "1")
    boss = await exchange.user(is_admin=True)
    await alice.order()
    undrained = await boss.call("POST", "/admin/drain")
    assert (undrained.status, undrained.headers["Retry-After"]) == (504, "1")
