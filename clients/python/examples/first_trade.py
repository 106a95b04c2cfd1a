"""Buys a little, shows the fill, and closes the position: `python first_trade.py URL KEY`."""

import asyncio
import sys
from decimal import Decimal

from perpetua_client import Client, OrderRequest


async def main(url: str, key: str) -> None:
    """Trade once and back."""
    async with Client(url, key) as client:
        for side, reduce_only in (("BUY", False), ("SELL", True)):
            order = OrderRequest(
                market_id="BTC-PERP", side=side, type="MARKET", quantity=Decimal("0.01"), reduce_only=reduce_only
            )
            placed = await client.place(order)
            done = await client.order(placed.order_id, after=placed.command_id)
            print(side, done.status, done.filled_quantity, "at", done.average_price)
            async for fill in client.fills(order_id=placed.order_id, after=placed.command_id):
                print("  fill", fill.trade_id, fill.quantity, "at", fill.price, "fee", fill.fee)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
