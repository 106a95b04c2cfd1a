"""Run by the Python that has ccxt: `structures.py URL KEY_ID SECRET`. Calls every method that the exchange claims, with ccxt's own checks.

Prints the methods that were called, one a line. A check of ccxt that does not hold ends it.
"""

import asyncio
import importlib
import inspect
import sys
import time

import ccxt
import ccxt.async_support
import ccxt.pro

import perpetua_ccxt

SYMBOL, CODE = "BTC/USDC:USDC", "USDC"
CHECKED = {
    "loadMarkets": (),  # checks each market; ccxt's test of fetchMarkets wants a dict, which none of its exchanges returns
    "fetchTicker": (SYMBOL,),
    "fetchTickers": (SYMBOL,),
    "fetchOrderBook": (SYMBOL,),
    "fetchTrades": (SYMBOL,),
    "fetchOHLCV": (SYMBOL,),
    "fetchStatus": (),
    "fetchFundingRateHistory": (SYMBOL,),
    "fetchLeverageTiers": (SYMBOL,),
    "fetchMarketLeverageTiers": (SYMBOL,),
    "fetchTradingFee": (SYMBOL,),
    "fetchTradingFees": (),
    "fetchBalance": (),
    "fetchPositions": (SYMBOL,),
    "fetchLedger": (CODE,),
    "fetchDeposits": (CODE,),
    "fetchWithdrawals": (CODE,),
    "fetchOrders": (SYMBOL,),
    "fetchOpenOrders": (SYMBOL,),
    "fetchClosedOrders": (SYMBOL,),
    "fetchMyTrades": (SYMBOL,),
}
NO_NETWORK = {"network": True}
"""Deposits and withdrawals are bookings: no network carries them. ccxt's way to say so in its tests is a skipped property."""
SKIPPED = {"fetchDeposits": NO_NETWORK, "fetchWithdrawals": NO_NETWORK}
WATCHED = {
    "watchOrderBook": (SYMBOL,),
    "watchTrades": (SYMBOL,),
    "watchTicker": (SYMBOL,),
    "watchOHLCV": (SYMBOL,),
    "watchOrders": (SYMBOL,),
    "watchMyTrades": (SYMBOL,),
    "watchPositions": (SYMBOL,),
    "watchBalance": (CODE,),
}
KINDS = {
    "createLimitOrder": ("limit", "buy", 0.7, {}),
    "createMarketOrder": ("market", "buy", None, {}),
    "createPostOnlyOrder": ("limit", "buy", 0.7, {"postOnly": True}),
    "createReduceOnlyOrder": ("market", "sell", None, {"reduceOnly": True}),
    "createTriggerOrder": ("market", "sell", None, {"triggerPrice": 0.7}),
    "createStopOrder": ("market", "buy", None, {"stopPrice": 1.3}),
    "createStopLimitOrder": ("limit", "sell", 0.69, {"stopPrice": 0.7}),
    "createStopMarketOrder": ("market", "sell", None, {"triggerPrice": 0.7}),
    "createStopLossOrder": ("market", "sell", None, {"stopLossPrice": 0.7}),
    "createTakeProfitOrder": ("market", "sell", None, {"takeProfitPrice": 1.3}),
    "createTrailingPercentOrder": ("market", "sell", None, {"trailingPercent": 5}),
    "createOrderWithTakeProfitAndStopLoss": (
        "limit",
        "buy",
        0.7,
        {"takeProfit": {"triggerPrice": 1.3}, "stopLoss": {"triggerPrice": 0.6}},
    ),
}


async def maybe(value):
    """The value, or the result of an awaitable: the sync and the async class are checked alike."""
    return await value if inspect.isawaitable(value) else value


def snake(name):
    """The name of a method in Python."""
    return ccxt.Exchange.un_camel_case(None, name)


async def check(exchange, folder, name, arguments):
    """Call a method through ccxt's own test of it."""
    module = importlib.import_module(f"ccxt.{folder}.test_{snake(name)}")
    await maybe(getattr(module, f"test_{snake(name)}")(exchange, SKIPPED.get(name, {}), *arguments))
    return name


async def orders(exchange):
    """Every kind of order, edited and cancelled; each is what was asked for."""
    done = ["createOrder", "cancelOrder", "fetchOrder", "cancelAllOrders"]
    mark = (await maybe(exchange.fetch_ticker(SYMBOL)))["last"]
    prices = ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice")
    for method, (kind, side, price, given) in KINDS.items():
        params = {}
        for name, value in given.items():
            nested = isinstance(value, dict)
            params[name] = (
                {key: each * mark for key, each in value.items()}
                if nested
                else value * mark
                if name in prices
                else value
            )
        order = await maybe(exchange.create_order(SYMBOL, kind, side, 0.01, price and price * mark, params))
        found = await maybe(exchange.fetch_order(order["id"], SYMBOL))
        assert found["id"] == order["id"], method
        assert found["side"] == side, method
        assert found["amount"] == 0.01 or found["amount"] is None, (method, found)
        assert found["type"] == kind, (method, found)
        if any(name in params for name in prices):
            wanted = next(params[name] for name in prices if name in params)
            assert abs(found["triggerPrice"] - wanted) < 1, (method, found)
        if "postOnly" in params or "reduceOnly" in params or "stopLossPrice" in params:
            assert found["postOnly"] or found["reduceOnly"], method
        if "takeProfit" in params:
            assert found["info"]["takeProfitOrderId"], method
        done.append(method)
        if method == "createLimitOrder":
            await maybe(exchange.edit_order(order["id"], SYMBOL, kind, side, 0.02, 0.71 * mark))
            found = await maybe(exchange.fetch_order(order["id"]))
            assert (found["amount"], found["status"]) == (0.02, "open")
            await maybe(exchange.cancel_order(order["id"], SYMBOL))
            assert (await maybe(exchange.fetch_order(order["id"])))["status"] == "canceled"
            done.append("editOrder")
    await maybe(
        exchange.create_order(SYMBOL, "limit", "buy", 0.01, 0.7 * mark, {"clientOrderId": f"mine-{time.time_ns()}"})
    )
    two = [
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": price * mark}
        for price in (0.7, 0.72)
    ]
    assert [order["status"] for order in await maybe(exchange.create_orders(two))] == ["open", "open"]
    assert len(await maybe(exchange.fetch_open_orders(SYMBOL))) > 3
    await maybe(exchange.cancel_all_orders_after(60_000))
    await maybe(exchange.cancel_all_orders_after(0))
    await maybe(exchange.cancel_all_orders(SYMBOL))
    return [*done, "createOrders", "cancelAllOrdersAfter"]


async def account(exchange):
    """What ccxt has no test of."""
    await maybe(exchange.set_leverage(7, SYMBOL))
    assert (await maybe(exchange.fetch_leverage(SYMBOL)))["longLeverage"] == 7
    bought = await maybe(exchange.create_order(SYMBOL, "market", "buy", 0.01))
    trades = await maybe(exchange.fetch_order_trades(bought["id"], SYMBOL))
    assert sum(trade["amount"] for trade in trades) == 0.01
    assert (await maybe(exchange.fetch_position(SYMBOL)))["contracts"] >= 0.01
    assert (await maybe(exchange.fetch_funding_rate(SYMBOL)))["fundingTimestamp"] > exchange.milliseconds()
    assert set(await maybe(exchange.fetch_funding_rates())) == set(exchange.symbols)
    assert (await maybe(exchange.fetch_open_interest(SYMBOL)))["openInterestAmount"] > 0
    assert isinstance(await maybe(exchange.fetch_funding_history(SYMBOL)), list)
    assert abs(await maybe(exchange.fetch_time()) - exchange.milliseconds()) < 5_000
    names = (
        "setLeverage fetchLeverage fetchOrderTrades fetchPosition fetchFundingRate fetchFundingRates fetchOpenInterest"
    )
    return [*names.split(), "fetchFundingHistory", "fetchTime"]


async def errors(exchange, kind, settings):
    """The classes that bots catch."""
    wrong = kind({**settings, "secret": "x"})
    late = kind({**settings, "options": {"timeDifference": 60_000}})
    cases = [
        (ccxt.AuthenticationError, wrong.fetch_balance, ()),
        (ccxt.InvalidNonce, late.fetch_balance, ()),
        (ccxt.BadSymbol, exchange.fetch_ticker, ("NO/USDC:USDC",)),
        (ccxt.OrderNotFound, exchange.fetch_order, ("BTC-PERP-999999999",)),
        (ccxt.InvalidOrder, exchange.create_order, (SYMBOL, "limit", "buy", 0.001, 1)),
        (ccxt.InsufficientFunds, exchange.create_order, (SYMBOL, "market", "buy", 90)),
    ]
    for expected, method, arguments in cases:
        try:
            await maybe(method(*arguments))
        except expected:
            continue
        raise AssertionError(f"{method} did not raise {expected}")
    for each in (wrong, late):
        await maybe(each.close())


async def rest(kind, folder, settings):
    """One of the two REST classes."""
    exchange = kind(settings)
    try:
        await maybe(exchange.load_markets())
        done = await account(exchange) + await orders(exchange)
        done += [await check(exchange, folder, name, arguments) for name, arguments in CHECKED.items()]
        await errors(exchange, kind, settings)
        return done
    finally:
        await maybe(exchange.close())


async def watched(settings):
    """The pro class, while somebody trades."""
    exchange = ccxt.pro.perpetua(settings)
    trading = asyncio.create_task(trade(exchange))
    try:
        await exchange.load_markets()
        checks = [check(exchange, "pro.test.Exchange", name, arguments) for name, arguments in WATCHED.items()]
        return await asyncio.wait_for(asyncio.gather(*checks), 120)
    finally:
        trading.cancel()
        await exchange.close()


async def trade(exchange):
    """Buy and sell again and again; the position stays open."""
    await exchange.create_order(SYMBOL, "market", "buy", 0.05)
    while True:
        for side in ("buy", "sell"):
            await exchange.create_order(SYMBOL, "market", side, 0.01)
            await asyncio.sleep(0.3)


async def main(url, key_id, secret):
    """Check all three classes."""
    perpetua_ccxt.register()
    settings = {"apiKey": key_id, "secret": secret, "urls": {"api": {"rest": url}}, "timeout": 20_000}
    print(*await watched(settings), sep="\n")
    for kind, folder in (
        (ccxt.async_support.perpetua, "test.exchange.async"),
        (ccxt.perpetua, "test.exchange.sync"),
    ):
        done = await rest(kind, folder, settings)
        done += ["fetchMarkets"]
        assert set(done) - {"loadMarkets"} == set(perpetua_ccxt.CLAIMED), set(done) ^ set(perpetua_ccxt.CLAIMED)
        print(*done, sep="\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
