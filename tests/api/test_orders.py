from urllib.parse import quote

import msgspec

from schemas.market import SEED_MARKETS
from store.markets.registry import list_market
from tests.api.exchange import Exchange, now

BID = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}


async def test_an_order_is_answered_pending_and_is_there_to_read(exchange: Exchange) -> None:
    """202 with the id, where it can be read, and which command it became."""
    alice = await exchange.user()
    placed = await alice.order(leverage=10, clientOrderId="first")
    assert placed.status == 202
    assert placed.body == {"orderId": "BTC-PERP-2", "status": "PENDING"}
    assert placed.headers["Location"] == "/orders/BTC-PERP-2"
    assert placed.headers["X-Command-Id"] == "BTC-PERP:2"
    order = (await alice.get(placed.headers["Location"])).body
    assert (order["quantity"], order["price"], order["status"]) == ("0.1", "60000", "PENDING")
    assert (order["leverage"], order["clientOrderId"]) == (10, "first")


async def test_the_walk_of_the_issue(exchange: Exchange) -> None:
    """A bids, B takes, both see the fill at 60,000 with fees 3.6 and 9, balances and positions follow."""
    alice, bob = await exchange.user(), await exchange.user()
    bid = await alice.order(quantity="0.5", clientOrderId="a-1", leverage=10)
    await bob.order(side="SELL", quantity="0.3", price="59000", timeInForce="IOC")
    await exchange.run_engine()
    maker, taker = (await alice.get("/fills")).body[0], (await bob.get("/fills")).body[0]
    assert (maker["price"], maker["quantity"], maker["fee"], maker["liquidityRole"]) == ("60000", "0.3", "3.6", "MAKER")
    assert (taker["price"], taker["fee"], taker["liquidityRole"]) == ("60000", "9", "TAKER")
    assert maker["tradeId"] == taker["tradeId"]
    assert (await alice.get("/balances")).body[0]["total"] == "9996.4"
    assert (await bob.get("/balances")).body[0]["total"] == "9991"
    long, short = (await alice.get("/positions")).body[0], (await bob.get("/positions")).body[0]
    assert (long["side"], long["quantity"], long["entryPrice"]) == ("LONG", "0.3", "60000")
    assert (short["side"], short["quantity"]) == ("SHORT", "0.3")
    cancelled = await alice.cancel(bid.body["orderId"])
    assert (cancelled.status, cancelled.body["status"]) == (202, "PENDING_CANCEL")
    await exchange.run_engine()
    order = (await alice.get("/orders")).body[0]
    assert (order["status"], order["reason"], order["filledQuantity"]) == ("CANCELLED", "USER", "0.3")
    assert (order["remainingQuantity"], order["averagePrice"]) == ("0.2", "60000")


async def test_a_repeated_client_id_finds_the_first_order(exchange: Exchange) -> None:
    """Same id and body: 200, the first id, the present status; another body: 409."""
    alice = await exchange.user()
    first = await alice.order(clientOrderId="once")
    await exchange.run_engine()
    again = await alice.order(clientOrderId="once", quantity="0.10")
    assert (again.status, again.body) == (200, {"orderId": first.body["orderId"], "status": "OPEN"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-Command-Id"] == "BTC-PERP:2"
    assert again.headers["Location"] == first.headers["Location"]
    other = await alice.order(clientOrderId="once", quantity="0.2")
    assert (other.status, other.code) == (409, "DUPLICATE_CLIENT_ORDER_ID")
    assert await exchange.value("SELECT count(*) FROM orders") == 1


async def test_an_order_beyond_the_balance_is_refused_with_its_numbers(exchange: Exchange) -> None:
    """INSUFFICIENT_MARGIN says the whole requirement and the equity."""
    alice = await exchange.user()
    refused = await alice.order(quantity="100")
    assert (refused.status, refused.code) == (422, "INSUFFICIENT_MARGIN")
    expected = {"required": "303000", "available": "10000", "pendingCancels": 0}  # 6,000,000 x 0.05 + fees of 3,000
    assert refused.details == expected
    assert await exchange.value("SELECT count(*) FROM orders") == 0


async def test_each_filter_names_itself_its_limit_and_what_it_got(exchange: Exchange) -> None:
    """INVALID_ORDER with details {filter, limit, got}."""
    alice = await exchange.user("1000000")
    cases = {
        "TICK_SIZE": {"price": "60000.05"},
        "LOT_SIZE": {"quantity": "0.0001"},
        "MAX_QUANTITY": {"quantity": "1000.001"},
        "MIN_NOTIONAL": {"quantity": "0.001", "price": "4000"},
        "PRICE_BAND": {"price": "66000.1"},
        "MAX_LEVERAGE": {"leverage": 21},
    }
    for name, fields in cases.items():
        refused = await alice.order(**fields)
        assert (refused.status, refused.code) == (400, "INVALID_ORDER"), name
        assert refused.details["filter"] == name
        assert {"limit", "got"} <= refused.details.keys()


async def test_an_unknown_market_is_refused(exchange: Exchange) -> None:
    """MARKET_NOT_FOUND for an order and for a look-up."""
    alice = await exchange.user()
    assert (await alice.order(marketId="DOGE-PERP")).code == "MARKET_NOT_FOUND"
    assert (await alice.get("/markets/DOGE-PERP")).code == "MARKET_NOT_FOUND"
    assert (await alice.get("/markets/%00")).code == "MARKET_NOT_FOUND"


async def test_a_halted_market_accepts_cancels_but_no_orders(exchange: Exchange) -> None:
    """MARKET_NOT_ACTIVE for an order, 202 for a cancel."""
    alice = await exchange.user()
    resting = await alice.order()
    await exchange.execute("UPDATE markets SET status = 'HALTED' WHERE name = 'BTC-PERP'")
    assert ((await alice.order()).status, (await alice.order()).code) == (409, "MARKET_NOT_ACTIVE")
    assert (await alice.cancel(resting.body["orderId"])).status == 202


async def test_another_users_order_is_as_unknown_as_one_that_never_was(exchange: Exchange) -> None:
    """ORDER_NOT_FOUND, word for word the same, for reading and for cancelling."""
    alice, bob = await exchange.user(), await exchange.user()
    theirs = (await alice.order()).body["orderId"]
    never = ["BTC-PERP-999", "BTC-PERP-0", "DOGE-PERP-2", "nonsense", "BTC-PERP-2x", "%00-2", "BTC-PERP-" + "9" * 60]
    for method in ("GET", "DELETE"):
        answers = [await bob.call(method, f"/orders/{order_id}") for order_id in [theirs, *never]]
        assert {answer.status for answer in answers} == {404}
        assert {(answer.code, answer.body["error"]["message"]) for answer in answers} == {
            (answers[0].code, answers[0].body["error"]["message"])
        }
        assert answers[0].code == "ORDER_NOT_FOUND"


async def test_an_order_that_has_ended_cannot_be_cancelled(exchange: Exchange) -> None:
    """ORDER_NOT_OPEN, 409."""
    alice = await exchange.user()
    order_id = (await alice.order(timeInForce="IOC")).body["orderId"]
    await exchange.run_engine()
    refused = await alice.cancel(order_id)
    assert (refused.status, refused.code) == (409, "ORDER_NOT_OPEN")


async def test_a_second_cancel_is_refused_without_a_second_command(exchange: Exchange) -> None:
    """ORDER_NOT_OPEN while a cancel is under way; it names the command of the one that was written."""
    alice = await exchange.user()
    order_id = (await alice.order()).body["orderId"]
    first, second = await alice.cancel(order_id), await alice.cancel(order_id)
    assert (first.status, second.status, second.code) == (202, 409, "ORDER_NOT_OPEN")
    assert first.headers["X-Command-Id"] == second.details["commandId"] == "BTC-PERP:3"


async def test_contradictory_orders_are_invalid(exchange: Exchange) -> None:
    """INVALID_ORDER for what no market can take."""
    alice = await exchange.user()
    contradictions = [
        {"type": "MARKET"},
        {"price": None},
        {"timeInForce": "IOC", "postOnly": True},
        {"timeInForce": "GTD"},
        {"expiresAt": "2100-01-01T00:00:00Z"},
        {"timeInForce": "GTD", "expiresAt": "2001-01-01T00:00:00Z"},
        {"timeInForce": "GTD", "expiresAt": "2100-01-01T00:00:00"},
        {"timeInForce": "GTD", "expiresAt": 4102444800},
        {"validUntil": "2001-01-01T00:00:00Z"},
        {"validUntil": "0001-01-01T00:00:00+14:00"},
        {"validUntil": "9999-12-31T23:59:59.999999-14:00"},
        {"clientOrderId": ""},
        {"clientOrderId": "x" * 37},
        {"clientOrderId": "with space"},
        {"clientOrderId": "new\n"},
        {"side": "buy"},
        {"side": 1},
        {"type": "STOP"},
        {"timeInForce": "DAY"},
        {"leverage": 0},
        {"leverage": 1.5},
        {"leverage": "10"},
        {"leverage": 10**30},
        {"postOnly": "true"},
        {"reduceOnly": 1},
        {"selfTradePreventionMode": "NONE"},
        {"marketId": ""},
        {"stopPrice": "1"},
    ]
    for fields in contradictions:
        refused = await alice.order(**fields)
        assert (refused.status, refused.code) == (400, "INVALID_ORDER"), fields
    assert await exchange.value("SELECT count(*) FROM orders") == 0


async def test_a_market_order_shows_its_protection_price(exchange: Exchange) -> None:
    """MARKET carries no price; the protection is mark x 1.01."""
    alice = await exchange.user()
    placed = await alice.order(type="MARKET", price=None)
    order = (await alice.get(f"/orders/{placed.body['orderId']}")).body
    assert (order["price"], order["protectionPrice"]) == (None, "60600")


async def test_a_market_that_is_listed_later_is_traded_without_a_restart(exchange: Exchange) -> None:
    """It is in the list at once and takes orders."""
    alice = await exchange.user()
    spec = msgspec.structs.replace(SEED_MARKETS[0], market="SOL-PERP", base_asset="SOL")
    await exchange.services.database.run(lambda session: list_market(session, spec, now()))
    assert (await alice.get("/markets/SOL-PERP")).body["baseAsset"] == "SOL"
    assert (await alice.order(marketId="SOL-PERP")).body["orderId"] == "SOL-PERP-2"
    assert (await alice.cancel("SOL-PERP-2")).status == 202


async def test_an_order_is_found_by_the_id_its_client_gave_it(exchange: Exchange) -> None:
    """Also by one with a slash in it or of the name of a route, and by its owner alone."""
    alice, bob = await exchange.user("100000"), await exchange.user()
    for client_id in ("mine", "a/b:c.d_e-f", "trace", "x" * 36):
        placed = await alice.order(clientOrderId=client_id)
        found = await alice.get(f"/orders/by-client-id/{quote(client_id, safe='')}")
        assert (found.status, found.body) == (200, (await alice.get(placed.headers["Location"])).body)
        foreign = await bob.get(f"/orders/by-client-id/{quote(client_id, safe='')}")
        assert (foreign.code, foreign.details) == ("ORDER_NOT_FOUND", {"clientOrderId": client_id})
    for unknown in ("Mine", "%00", "%F0%9F%A6%8A", "x" * 70):
        assert (await alice.get(f"/orders/by-client-id/{unknown}")).code == "ORDER_NOT_FOUND"
