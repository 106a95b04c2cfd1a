"""The candle maker: maintains the minute and hour candles of every market, a few seconds after the projection."""

import asyncio

from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from store.markets.candles import TRADES_A_ROLL, roll_candles
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.connect import Connection

ROLL_EVERY_S = 5.0


class CandleMaker(Service):
    """One for all markets, by advisory lock. While none runs, candles are read from the trades: as exact, but slower."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("candles", settings.dsn)

    async def serve(self, session: Connection) -> None:
        """Catch up page by page, then check every five seconds."""
        await wait_for_lock(session, LockClass.CANDLES)
        while True:
            if await roll_candles(session) < TRADES_A_ROLL:
                await asyncio.sleep(ROLL_EVERY_S)
