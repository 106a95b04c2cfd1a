"""Keeps a bid and an ask around the mark for some seconds: `python quote.py URL KEY [SECONDS]`.

Both end with the connection. Each move of the mark amends them: an amend that does not wait for the answer of a cancel cannot leave
the market with two.
"""

import asyncio
import sys
import time
from decimal import Decimal

from perpetua_client import AmendRequest, Client, OrderRequest, Refusal, Socket

MARKET = "BTC-PERP"
DISTANCE = Decimal("0.002")
QUANTITY = Decimal("0.01")


async def main(url: str, key: str, seconds: float = 10.0) -> None:
    """Quote, then show what was filled."""
    until = time.monotonic() + seconds
    quotes: dict[str, str] = {}
    async with Client(url, key) as client:
        tick = (await client.market(MARKET)).tick_size
        async with client.socket(cancel_on_disconnect=True) as socket, socket.mark(MARKET) as marks:
            async for message in marks:
                for side, away in (("BUY", -DISTANCE), ("SELL", DISTANCE)):
                    price = (message.data.mark_price * (1 + away)).quantize(tick)
                    await move(socket, quotes, side, price)
                if time.monotonic() > until:
                    break
        await asyncio.sleep(0.5)  # the end of the connection cancels what rests
        for order_id in quotes.values():
            order = await client.order(order_id)
            print(order.side, order.status, "filled", order.filled_quantity, "of", order.quantity)


async def move(socket: Socket, quotes: dict[str, str], side: str, price: Decimal) -> None:
    """Place the quote of a side, or amend it; one that has ended is placed again."""
    try:
        if side in quotes:
            await socket.amend(quotes[side], AmendRequest(price=price))
            return
        order = OrderRequest(market_id=MARKET, side=side, type="LIMIT", quantity=QUANTITY, price=price, post_only=True)
        quotes[side] = (await socket.place(order)).order_id
    except Refusal as refusal:
        print(side, refusal)
        if refusal.code == "ORDER_NOT_OPEN" and refusal.details.get("reason") == "ENDED":
            del quotes[side]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:4])))
