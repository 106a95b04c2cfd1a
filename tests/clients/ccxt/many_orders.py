"""Run by the Python that has ccxt: `many_orders.py URL KEY_ID SECRET COUNT`. Places, edits and cancels orders, and prints what ccxt says of each.

One JSON line an order: its id, clientOrderId, status, amount and filled amount at the end. A call whose outcome is unknown is made
again with the same clientOrderId, as a bot should.
"""

import asyncio
import json
import random
import sys

import ccxt
import ccxt.async_support

import perpetua_ccxt

SYMBOL = "BTC/USDC:USDC"
AT_ONCE = 8


async def place(exchange, number, mark, chance):
    """One order: most are limits, some far away, some at market."""
    side = chance.choice(("buy", "sell"))
    away = chance.choice((0.0, 0.0005, 0.05)) * (-1 if side == "buy" else 1)
    kind = "market" if chance.random() < 0.2 else "limit"
    price = None if kind == "market" else mark * (1 + away)
    params = {"clientOrderId": f"ccxt-{number}"}
    while True:
        try:
            return await exchange.create_order(SYMBOL, kind, side, chance.choice((0.001, 0.002, 0.003)), price, params)
        except (ccxt.NetworkError, ccxt.RateLimitExceeded):
            await asyncio.sleep(0.1)


async def change(exchange, order, number):
    """Edit every seventh, cancel every third; an order that has ended refuses."""
    try:
        if number % 7 == 0:
            await exchange.edit_order(order["id"], SYMBOL, "limit", order["side"], 0.005, None)
        elif number % 3 == 0:
            await exchange.cancel_order(order["id"], SYMBOL)
    except (ccxt.OrderNotFound, ccxt.InvalidOrder):
        pass


async def main(url, key_id, secret, count):
    """Everything, then the end of every order."""
    perpetua_ccxt.register()
    settings = {"apiKey": key_id, "secret": secret, "urls": {"api": {"rest": url}}, "enableRateLimit": False}
    exchange, chance, orders = ccxt.async_support.perpetua(settings), random.Random(5), []
    try:
        await exchange.load_markets()
        mark = (await exchange.fetch_ticker(SYMBOL))["markPrice"]
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(count, first + AT_ONCE))
            placed = await asyncio.gather(*(place(exchange, number, mark, chance) for number in numbers))
            orders += placed
            await asyncio.gather(*(change(exchange, order, n) for n, order in zip(numbers, placed, strict=True)))
            if first % 400 == 0:
                await exchange.cancel_all_orders(SYMBOL)
        await exchange.cancel_all_orders()
        for order in orders:
            found = await exchange.fetch_order(order["id"], SYMBOL)
            shown = {name: found[name] for name in ("id", "clientOrderId", "status", "amount", "filled", "average")}
            sys.stdout.write(json.dumps(shown) + "\n")
    finally:
        await exchange.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
