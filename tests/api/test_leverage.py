import asyncio

from tests.api.exchange import Exchange

PATH = "/positions/BTC-PERP/leverage"


async def test_leverage_is_set_for_position_and_live_orders_alike(exchange: Exchange) -> None:
    """0.1 BTC at 60,000 and 20 times needs 300 and 3 of fees; at 10 times 600 and 3: raised and lowered at once."""
    alice = await exchange.user("1000")
    await alice.order()
    lowered = await alice.call("POST", PATH, {"leverage": 10})
    assert lowered.status == 200
    assert lowered.body == {
        "marketId": "BTC-PERP",
        "leverage": 10,
        "maxLeverage": 20,
        "initialMargin": "603",
        "maintenanceMargin": "0",
        "availableMargin": "397",
    }
    assert (await alice.get("/balances")).body[0]["availableMargin"] == "397"
    assert (await alice.call("POST", PATH, {"leverage": 20})).body["availableMargin"] == "697"


async def test_a_lower_leverage_must_be_covered(exchange: Exchange) -> None:
    """At 5 times the order needs 1,203 of 1,000: refused, and nothing has changed."""
    alice = await exchange.user("1000")
    await alice.order()
    refused = await alice.call("POST", PATH, {"leverage": 5})
    assert (refused.status, refused.code) == (422, "INSUFFICIENT_MARGIN")
    assert refused.details == {"required": "1203", "available": "1000", "pendingCancels": 0}
    assert (await alice.get("/balances")).body[0]["availableMargin"] == "697"


async def test_leverage_stays_for_the_orders_to_come(exchange: Exchange) -> None:
    """Set before the first order of a market: 0.1 BTC at 2 times needs 3,003."""
    alice = await exchange.user("5000")
    assert (await alice.call("POST", PATH, {"leverage": 2})).body["initialMargin"] == "0"
    await alice.order()
    assert (await alice.get("/balances")).body[0]["locked"] == "3003"
    await exchange.run_engine()
    assert (await alice.get("/balances")).body[0]["locked"] == "3003"


async def test_a_leverage_that_is_none_is_refused(exchange: Exchange) -> None:
    """INVALID_REQUEST for another shape, INVALID_ORDER above the market's highest, MARKET_NOT_FOUND elsewhere."""
    alice = await exchange.user(None)
    for body in ({}, {"leverage": 0}, {"leverage": "10"}, {"leverage": 1.5}, {"leverage": 10, "x": 1}, []):
        assert (await alice.call("POST", PATH, body)).code == "INVALID_REQUEST", body
    above = await alice.call("POST", PATH, {"leverage": 21})
    assert (above.status, above.code) == (400, "INVALID_ORDER")
    assert above.details == {"filter": "MAX_LEVERAGE", "limit": 20, "got": 21}
    assert (await alice.call("POST", "/positions/DOGE-PERP/leverage", {"leverage": 2})).code == "MARKET_NOT_FOUND"


async def test_leverage_and_orders_at_once_never_use_the_same_money(exchange: Exchange) -> None:
    """Twenty orders of 303 and twenty changes to 10 times race on 1,000: the requirement stays covered whichever wins."""
    alice = await exchange.user("1000")
    calls = [alice.order() if n % 2 else alice.call("POST", PATH, {"leverage": 10}) for n in range(40)]
    replies = await asyncio.gather(*calls)
    assert {reply.status for reply in replies} <= {200, 202, 422}
    balance = (await alice.get("/balances")).body[0]
    assert float(balance["locked"]) <= 1_000
    assert float(balance["availableMargin"]) > 0
