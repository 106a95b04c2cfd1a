"""Shows the best prices of a market and its trades as they happen: `python follow_book.py URL [SECONDS]`."""

import asyncio
import sys

from perpetua_client import Client, Socket

MARKET = "BTC-PERP"


async def main(url: str, seconds: float = 10.0) -> None:
    """Follow both for some seconds."""
    async with Client(url) as client, client.socket() as socket:
        following = [asyncio.create_task(follow(socket)) for follow in (book, trades)]
        await asyncio.wait(following, timeout=seconds)
        for task in following:
            task.cancel()


async def book(socket: Socket) -> None:
    """The best bid and ask, after each change."""
    async with socket.book(MARKET, depth=25) as books:
        async for now in books:
            if now.bids and now.asks:
                print("book", now.sequence, now.bids[0], now.asks[0])


async def trades(socket: Socket) -> None:
    """Each trade."""
    async with socket.trades(MARKET) as messages:
        async for message in messages:
            print("trade", message.sequence, message.data.taker_side, message.data.quantity, "at", message.data.price)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(float, sys.argv[2:3])))
