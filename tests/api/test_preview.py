"""A preview says what the order would be answered, and changes nothing."""

from typing import Any

from tests.api.exchange import Exchange

TABLES = ("orders", "outbox", "positions", "counters", "accounts", "fills", "ledger", "markets", "progress")


async def test_a_preview_says_what_the_order_will_need(exchange: Exchange) -> None:
    """0.5 BTC at 60,000 with leverage 10: margin 3,000 and at most 15 of fees; placing it then locks just that."""
    alice = await exchange.user("10000")
    reply = await alice.preview(quantity="0.5", leverage=10)
    assert reply.status == 200
    assert reply.body == {
        "isAccepted": True,
        "refusal": None,
        "price": "60000",
        "notional": "30000",
        "marginRequired": "3015",
        "marginAdded": "3015",
        "equity": "10000",
        "availableMargin": "6985",
        "feeMax": "15",
        "commandSequence": 0,
        "outcome": {
            "status": "OPEN",
            "reason": None,
            "isTruncated": False,
            "filledQuantity": "0",
            "remainingQuantity": "0.5",
            "cutQuantity": "0",
            "averagePrice": None,
            "bestOppositePrice": None,
            "fills": [],
            "fee": "0",
            "realizedPnl": "0",
            "position": None,
            "positionIfFilled": {  # (9,994 - 30,000) / (0.5 x 0.005 - 0.5), after a maker's fee of 6
                "side": "LONG",
                "quantity": "0.5",
                "entryPrice": "60000",
                "liquidationPrice": "40213.1",
            },
        },
    }
    await alice.order(quantity="0.5", leverage=10)
    assert (await alice.get("/balances")).body[0]["availableMargin"] == "6985"
    more = (await alice.preview(quantity="0.5")).body
    assert (more["marginRequired"], more["marginAdded"]) == ("6030", "3015")
    opposite = (await alice.preview(side="SELL", quantity="0.5")).body
    assert opposite["marginAdded"] == "15"  # the worse side is long all the same


async def test_a_preview_of_a_market_order_shows_its_protection(exchange: Exchange) -> None:
    """1 % beyond the mark, and the notional there."""
    alice = await exchange.user("10000")
    body = (await alice.preview(type="MARKET", price=None)).body
    assert (body["price"], body["notional"]) == ("60600", "6060")


async def test_a_preview_is_refused_as_the_order_would_be(exchange: Exchange) -> None:
    """The same code, message and details; an invalid order body is refused by both."""
    alice = await exchange.user("10000")
    wishes: list[dict[str, Any]] = [
        {"quantity": "100"},
        {"price": "60000.05"},
        {"price": "70000"},
        {"quantity": "0"},
        {"marketId": "DOGE-PERP"},
        {"price": None},
        {"timeInForce": "GTD"},
        {"leverage": 21},
    ]
    for wish in wishes:
        asked, placed = await alice.preview(**wish), await alice.order(**wish)
        admission = placed.body["error"]
        assert asked.status == 200, wish
        assert asked.body["isAccepted"] is False
        assert asked.body["refusal"] == {name: admission.get(name) for name in ("code", "message", "details")}
        assert asked.body["marginRequired"] is None
    assert (await alice.preview(side="UP")).code == (await alice.order(side="UP")).code == "INVALID_ORDER"


async def test_a_preview_writes_nothing(exchange: Exchange) -> None:
    """Not an order, not a command, not a row of leverage, no fill that it foresees, and no lock that leaves a trace."""
    alice = await exchange.user("10000")
    await (await exchange.user()).order(side="SELL")
    await exchange.run_engine()
    before = [await exchange.value(f"SELECT string_agg(t::text || xmax, ' ') FROM {table} t") for table in TABLES]
    assert (await alice.preview(leverage=3)).body["outcome"]["status"] == "FILLED"
    after = [await exchange.value(f"SELECT string_agg(t::text || xmax, ' ') FROM {table} t") for table in TABLES]
    assert after == before
