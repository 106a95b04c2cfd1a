"""A small bot: buys the market a little below its mean of the last minutes, sells above it. `python bot.py URL KEY_ID SECRET [SECONDS]`.

It shows what a ccxt bot needs, and is no advice: it loses its fees.
"""

import asyncio
import sys
import time

import ccxt
import ccxt.pro

import perpetua_ccxt

SYMBOL, AMOUNT, BAND = "BTC/USDC:USDC", 0.01, 0.0001


async def main(url, key_id, secret, seconds=60.0):
    """Trade until the time is over, then close the position."""
    perpetua_ccxt.register()
    exchange = ccxt.pro.perpetua({"apiKey": key_id, "secret": secret, "urls": {"api": {"rest": url}}})
    until, orders = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < until:
            ticker = await exchange.watch_ticker(SYMBOL)
            candles = await exchange.fetch_ohlcv(SYMBOL, "1m", limit=5)
            mean = sum(candle[4] for candle in candles) / len(candles)
            position = await exchange.fetch_position(SYMBOL)
            held = position["contracts"] if position else 0.0
            side = (
                "buy" if ticker["last"] < mean * (1 - BAND) else "sell" if ticker["last"] > mean * (1 + BAND) else None
            )
            if side == "buy" and held < 5 * AMOUNT:
                await trade(exchange, side, {})
                orders += 1
            elif side == "sell" and held:
                await trade(exchange, side, {"reduceOnly": True})
                orders += 1
        position = await exchange.fetch_position(SYMBOL)
        if position:
            await exchange.create_order(SYMBOL, "market", "sell", position["contracts"], None, {"reduceOnly": True})
        balance = await exchange.fetch_balance()
        print(f"{orders} orders, {balance['USDC']['total']} USDC")
    finally:
        await exchange.close()


async def trade(exchange, side, params):
    """One market order; what the exchange refuses is shown, what the network loses is asked for."""
    params = {"clientOrderId": f"bot-{time.time_ns()}", **params}
    while True:
        try:
            return await exchange.create_order(SYMBOL, "market", side, AMOUNT, None, params)
        except ccxt.NetworkError as error:  # again with the same clientOrderId: it is placed once
            print("again:", type(error).__name__)
            await asyncio.sleep(1)
        except ccxt.ExchangeError as error:
            print("refused:", error)
            return None


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(float, sys.argv[4:5])))
