"""Closing is always possible: reduce-only orders cost a position nothing more, and a losing account gets out."""

from tests.api.exchange import Exchange
from tests.api.margin_scene import account_of, close, findings_of, long_from, market, move_index


async def test_a_losing_trader_with_a_take_profit_closes(exchange: Exchange) -> None:
    """Deposit 3,100, long 1 from 60,000, reduce-only SELL 1 at 62,000 rests; at 59,000 close and a market SELL are accepted."""
    trader, rich = await long_from(exchange, "3100", "1")
    take_profit = await trader.order(side="SELL", quantity="1", price="62000", reduceOnly=True)
    assert take_profit.status == 202
    await exchange.run_engine()
    await move_index(exchange, 59_000)
    assert (await close(trader)).status == 202
    assert (await market(trader, "SELL", "0.5", reduceOnly=True)).status == 202
    await rich.order(quantity="1", price="58900")
    await exchange.run_engine()
    assert await findings_of(exchange) == []


async def test_the_close_fills_and_the_take_profit_ends_with_the_position(exchange: Exchange) -> None:
    """The bid at 58,900 takes all of it: flat, with 3,088 - 1,100 - 29.45 left, and nothing live."""
    trader, rich = await long_from(exchange, "3100", "1")
    await trader.order(side="SELL", quantity="1", price="62000", reduceOnly=True)
    await move_index(exchange, 59_000)
    await rich.order(quantity="1", price="58900")
    closing = await close(trader)
    await exchange.run_engine()
    order = (await trader.get(f"/orders/{closing.body['orderId']}")).body
    assert (order["status"], order["averagePrice"], order["protectionPrice"]) == ("FILLED", "58900", "58410")
    assert (await trader.get("/positions")).body == []
    assert [each["status"] for each in (await trader.get("/orders")).body] == ["FILLED", "CANCELLED", "FILLED"]
    assert (await trader.get("/balances")).body[0]["availableMargin"] == "1958.55"


async def test_a_reduce_only_order_larger_than_the_position_is_cut_to_it(exchange: Exchange) -> None:
    """Deposit 303, long 0.1: reduce-only SELL 0.15 IOC fills 0.1, and 0.05 is cut."""
    trader, rich = await long_from(exchange, "303", "0.1")
    await rich.order(quantity="1", price="59900")
    placed = await trader.order(side="SELL", quantity="0.15", price="59900", reduceOnly=True, timeInForce="IOC")
    assert placed.status == 202
    await exchange.run_engine()
    order = (await trader.get(f"/orders/{placed.body['orderId']}")).body
    assert (order["status"], order["filledQuantity"], order["cutQuantity"]) == ("FILLED", "0.1", "0.05")
    assert (await trader.get("/positions")).body == []
    assert await findings_of(exchange) == []


async def test_a_market_order_that_equity_does_not_cover_gets_a_nearer_protection_price(exchange: Exchange) -> None:
    """Equity 480 is 0.8 % of 60,000: at 59,400 the close could cost 630, at 59,550 it costs at most 450 + 30."""
    trader, rich = await long_from(exchange, "3100", "1")
    await exchange.execute("UPDATE accounts SET wallet = 480000000 WHERE user_id = $1", trader.user)
    placed = await market(trader, "SELL", "1", reduceOnly=True)
    assert placed.status == 202
    await rich.order(quantity="1", price="59550")
    await rich.order(quantity="1", price="59540")
    await exchange.run_engine()
    order = (await trader.get(f"/orders/{placed.body['orderId']}")).body
    assert (order["protectionPrice"], order["status"], order["reason"]) == ("59550", "EXPIRED", "NO_LIQUIDITY")
    closing = await close(trader)
    await exchange.run_engine()
    order = (await trader.get(f"/orders/{closing.body['orderId']}")).body
    assert (order["protectionPrice"], order["status"], order["averagePrice"]) == ("59550", "FILLED", "59550")
    assert (await account_of(exchange, trader)).wallet == (480 - 450) * 10**6 - 29_775_000


async def test_a_short_buys_back_at_a_nearer_protection_price(exchange: Exchange) -> None:
    """A short of 1 with 480: at 60,420 it costs 420 of loss and 30.21 of fee; one tick more stays within 480."""
    rich, trader = await long_from(exchange, "100000000", "1")
    await exchange.execute("UPDATE accounts SET wallet = 480000000 WHERE user_id = $1", trader.user)
    placed = await market(trader, "BUY", "1", reduceOnly=True)
    assert placed.status == 202
    await exchange.run_engine()
    order = (await trader.get(f"/orders/{placed.body['orderId']}")).body
    assert order["protectionPrice"] == "60449.7"
    assert 449_700_000 + 30_224_850 <= 480_000_000 < 449_800_000 + 30_224_900
    assert (await rich.get("/positions")).body[0]["side"] == "LONG"


async def test_a_nearer_price_never_spends_what_other_markets_may_lose(exchange: Exchange) -> None:
    """960 is 0.8 % of two positions of 60,000 each: one close may lose 630, the other the 330 that are left."""
    trader, rich = await long_from(exchange, "7000", "1")
    await trader.order(marketId="ETH-PERP", quantity="20", price="3000")
    await rich.order(marketId="ETH-PERP", side="SELL", quantity="20", price="3000")
    await exchange.run_engine()
    await exchange.execute("UPDATE accounts SET wallet = 960000000 WHERE user_id = $1", trader.user)
    first, second = await close(trader), await close(trader, "ETH-PERP")
    assert (first.status, second.status) == (202, 202)
    prices = [(await trader.get(f"/orders/{each.body['orderId']}")).body["protectionPrice"] for each in (first, second)]
    assert prices == ["59400", "2985"]
    await rich.order(quantity="1", price="59400")
    await rich.order(marketId="ETH-PERP", quantity="20", price="2985")
    third = await close(trader)
    await exchange.run_engine()
    assert (third.status, (await account_of(exchange, trader)).wallet >= 0) == (202, True)


async def test_a_close_twice_in_a_row_is_accepted_twice_and_fills_once(exchange: Exchange) -> None:
    """The second one costs at most what the first has left; the position is closed once."""
    trader, rich = await long_from(exchange, "3100", "1")
    await move_index(exchange, 57_600)
    await rich.order(quantity="1", price="57600")
    assert [(await close(trader)).status for _ in range(3)] == [202] * 3
    await exchange.run_engine()
    assert (await trader.get("/positions")).body == []
    assert await findings_of(exchange) == []


async def test_a_plain_order_that_only_reduces_is_accepted_as_reduce_only(exchange: Exchange) -> None:
    """Below the margin a plain SELL closes too; it may not open the opposite, so it is stored reduce-only."""
    trader, _ = await long_from(exchange, "3100", "1")
    await trader.order(side="SELL", quantity="1", price="62000", reduceOnly=True)
    await move_index(exchange, 59_000)
    plain = await market(trader, "SELL", "1")
    assert plain.status == 202
    assert (await trader.get(f"/orders/{plain.body['orderId']}")).body["reduceOnly"] is True


async def test_a_refused_market_order_says_at_what_price_it_was_judged(exchange: Exchange) -> None:
    """BUY 0.1 at 60,600: 303 of margin, 60 of loss, 3.03 of fee; the cancel under way still holds its order's margin."""
    alice = await exchange.user("600")
    resting = await alice.order()
    await alice.cancel(resting.body["orderId"])
    refused = await market(alice, "BUY", "0.1")
    assert (refused.status, refused.code) == (422, "INSUFFICIENT_MARGIN")
    assert refused.details == {
        "required": "669.03",
        "available": "600",
        "protectionPrice": "60600",
        "pendingCancels": 1,
    }
    assert "protection price" in refused.body["error"]["message"]
    assert "maxSlippage" in refused.body["error"]["message"]
    await exchange.run_engine()
    assert (await market(alice, "BUY", "0.1")).status == 202


async def test_a_close_next_to_orders_that_would_open_says_which(exchange: Exchange) -> None:
    """Long 0.1 with a plain SELL 0.2 resting: after a close all of it would be naked. Cancelled, the close is accepted."""
    trader, _ = await long_from(exchange, "350", "0.1")
    plain = await trader.order(side="SELL", quantity="0.2", price="61000")
    assert plain.status == 202
    refused = await close(trader)
    assert (refused.status, refused.code) == (422, "INSUFFICIENT_MARGIN")
    assert "cancel them first" in refused.body["error"]["message"]
    await trader.cancel(plain.body["orderId"])
    assert (await close(trader)).details["pendingCancels"] == 1
    await exchange.run_engine()
    assert (await close(trader)).status == 202
