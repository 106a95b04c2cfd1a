"""The candle maker on a real database: it keeps up on its own, alone, and after its session was lost."""

from pathlib import Path

from agents.candles import CandleMaker
from agents.worker.settings import StreamSettings
from schemas.orders import Side
from store.audit.audit import audit
from tests.agents.stream import hosted
from tests.eventually import eventually
from tests.store.projection_builders import Exchange, an_order, open_exchange


def maker(exchange: Exchange) -> CandleMaker:
    """A candle maker that catches up with this exchange; it never asks the broker."""
    return CandleMaker(StreamSettings(exchange.dsn, "", datadir=Path()))


async def trade(exchange: Exchange, buyer: int, seller: int) -> None:
    """One lot changes hands."""
    for user, side in ((buyer, Side.BUY), (seller, Side.SELL)):
        await exchange.submit("BTC-PERP", an_order(user, side, 1, 600_000))
    await exchange.settle()


async def test_candles_are_kept_up_by_one_of_many(database: str) -> None:
    """A second maker waits for the first, takes over when it is gone, and no trade is counted twice."""
    exchange = await open_exchange(database)
    alice, bob = await exchange.user("a@x.io"), await exchange.user("b@x.io")

    async def kept(trades: int) -> bool:
        query = "SELECT sum(trades) FROM candles WHERE span_s = 60"
        return bool(await exchange.session.fetchval(query) == trades)

    await trade(exchange, alice, bob)
    async with hosted(maker(exchange)):
        await eventually(lambda: kept(1))
        async with hosted(maker(exchange)):
            await trade(exchange, alice, bob)
            await exchange.session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'candles'"
                " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
            )
            await eventually(lambda: kept(2))
    assert await audit(exchange.session) == []
    await exchange.close()
