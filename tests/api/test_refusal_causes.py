"""A refusal names its own cause: a frozen mark, a liquidation, positions that are being closed; not the margin."""

from tests.api.exchange import Client, Exchange, Reply
from tests.api.margin_scene import close, long_from, market

FREEZE = "UPDATE markets SET is_frozen = true, status = 'CANCEL_ONLY' WHERE name = 'BTC-PERP'"
FROZEN = {"marketId": "BTC-PERP", "reason": "MARK_FROZEN"}


async def in_ether(client: Client, **fields: object) -> Reply:
    """A bid in the market whose mark is not frozen."""
    return await client.order(marketId="ETH-PERP", quantity="0.1", price="3000", **fields)


async def test_a_frozen_mark_is_the_reason_wherever_the_holder_trades(exchange: Exchange) -> None:
    """10,000 and a small position: an order elsewhere, its preview, an order there, a close and a withdrawal say so."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    await exchange.execute(FREEZE)
    refused = await in_ether(trader)
    assert (refused.status, refused.code, refused.details) == (409, "MARKET_NOT_ACTIVE", FROZEN)
    assert "BTC-PERP" in refused.body["error"]["message"]
    body = {"marketId": "ETH-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "3000"}
    preview = (await trader.call("POST", "/orders/preview", body)).body["refusal"]
    assert (preview["code"], preview["details"]) == ("MARKET_NOT_ACTIVE", FROZEN)
    for there in (await trader.order(), await close(trader), await market(trader, "SELL", "0.1", reduceOnly=True)):
        assert (there.status, there.code, there.details) == (
            409,
            "MARKET_NOT_ACTIVE",
            FROZEN | {"status": "CANCEL_ONLY"},
        )
        assert "frozen" in there.body["error"]["message"]
    money = await trader.withdraw("1")
    assert (money.code, money.details) == ("INSUFFICIENT_BALANCE", FROZEN | {"requested": "1", "available": "0"})


async def test_a_frozen_mark_stops_nobody_who_holds_nothing_there(exchange: Exchange) -> None:
    """They trade elsewhere; an operator's CANCEL_ONLY has no such reason."""
    await exchange.execute(FREEZE)
    bob = await exchange.user()
    assert (await in_ether(bob)).status == 202
    await exchange.execute("UPDATE markets SET is_frozen = false WHERE name = 'BTC-PERP'")
    assert (await bob.order()).details == {"marketId": "BTC-PERP", "status": "CANCEL_ONLY"}


async def test_an_account_in_liquidation_hears_so(exchange: Exchange) -> None:
    """What opens is refused for the liquidation, what reduces is accepted; a deleveraged account places nothing."""
    trader, _ = await long_from(exchange, "10000", "0.1")
    await exchange.execute("UPDATE accounts SET liquidation_id = 1 WHERE user_id = $1", trader.user)
    refused = await in_ether(trader)
    assert (refused.code, refused.details) == ("MARKET_NOT_ACTIVE", {"reason": "LIQUIDATION"})
    assert (await trader.withdraw("1")).details["reason"] == "LIQUIDATION"
    poor = await in_ether(trader, leverage=1, reduceOnly=False)
    assert poor.details == {"reason": "LIQUIDATION"}
    assert (await close(trader)).status == 202
    await exchange.execute("UPDATE accounts SET liquidation_id = -1 WHERE user_id = $1", trader.user)
    for order in (await in_ether(trader), await close(trader)):
        assert (order.code, order.details) == ("MARKET_NOT_ACTIVE", {"reason": "POSITIONS_CLOSING"})


async def test_an_account_without_the_margin_hears_both(exchange: Exchange) -> None:
    """In liquidation and short of margin: INSUFFICIENT_MARGIN with its numbers, and the reason."""
    trader, _ = await long_from(exchange, "310", "0.1")
    await exchange.execute("UPDATE accounts SET liquidation_id = 1 WHERE user_id = $1", trader.user)
    refused = await trader.order()
    assert (refused.status, refused.code) == (422, "INSUFFICIENT_MARGIN")
    assert refused.details == {"required": "603", "available": "308.8", "reason": "LIQUIDATION", "pendingCancels": 0}
