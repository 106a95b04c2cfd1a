"""A scene for liquidations: real tables, real engine, the liquidator by hand, and a clock that does not advance between scans."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from agents.liquidator import Liquidator
from agents.worker.settings import StreamSettings
from schemas.commands import Command, SetIndex
from schemas.orders import Side, TimeInForce
from schemas.units import Nanos, Timestamp
from store.audit.audit import audit
from store.session.connect import Connection
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC, ETH = "BTC-PERP", "ETH-PERP"
USDC = 10**6
LOOK_US = 200_000
_POST_FUND = """
WITH transfer AS MATERIALIZED (SELECT nextval('transfers') AS id)
INSERT INTO ledger (account, type, amount, transfer_id, at)
SELECT entry.account, 'INSURANCE_FUND_TRANSFER', entry.amount, transfer.id, now()
FROM transfer, (VALUES (-3, -$1::int8), (-1, $1::int8)) AS entry (account, amount)
"""


class Scene:
    """An exchange in which accounts get into trouble. Prices are whole quotes, quantities lots of 0.001 BTC, money USDC."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.session: Connection = exchange.session
        self.now = NOON
        self.liquidator = new_liquidator(exchange.dsn)
        self._names = itertools.count(1)

    async def user(self, amount: str) -> int:
        """A user with money."""
        return await self.exchange.user(f"user{next(self._names)}@example.com", amount)

    async def send(self, command: Command, market: str = BTC) -> int:
        """Put a command into a market's log, match and persist it."""
        seq = await self.exchange.submit(market, command)
        await self.exchange.settle()
        return seq

    async def order(self, user: int, side: Side, lots: int, price: float, market: str = BTC, **changes: Any) -> int:
        """A limit order that is margined as the submission does it, but at no loss and no fee."""
        tick = 10 if market == BTC else 100
        ticks = round(price * tick)
        margined = {"margin_price": ticks, "loss_per_lot": 0, "fee_per_lot": 0} | changes
        return await self.send(an_order(user, side, lots, ticks, **margined), market)

    async def trade(self, buyer: int, seller: int, lots: int, price: float, market: str = BTC) -> None:
        """The buyer's order rests (0.02 %), the seller takes it (0.05 %)."""
        await self.order(buyer, Side.BUY, lots, price, market)
        await self.order(seller, Side.SELL, lots, price, market, time_in_force=TimeInForce.IOC)

    async def index(self, price: float, market: str = BTC) -> None:
        """The index moves, and the mark with it."""
        await self.send(SetIndex(self.now, Nanos(round(price * 10**9))), market)

    async def look(self, times: int = 1, session: Any = None) -> None:
        """Run this many checks of the liquidator; after each, match and persist everything it ordered."""
        for _ in range(times):
            self.now = Timestamp(self.now + LOOK_US)
            await self.liquidator.look(session or self.session, self.now)
            await self.exchange.settle()

    async def drain_fund(self, left: int) -> None:
        """Remove the fund's money except for this amount of USDC."""
        await self.session.execute(_POST_FUND, await self.fund() - left * USDC)

    async def wallet(self, user: int) -> int:
        """Micros."""
        return int(await self.session.fetchval("SELECT wallet FROM accounts WHERE user_id = $1", user))

    async def fund(self) -> int:
        """Micros of the insurance fund's wallet."""
        return int(await self.session.fetchval("SELECT sum(amount) FROM ledger WHERE account = -3"))

    async def position(self, user: int, market_id: int = 1) -> tuple[int, int]:
        """Lots and cost."""
        query = "SELECT lots, cost FROM positions WHERE user_id = $1 AND market_id = $2"
        row = await self.session.fetchrow(query, user, market_id)
        return (row["lots"], row["cost"]) if row else (0, 0)

    async def actions(self, user: int) -> list[str]:
        """The actions on an account, in order."""
        query = "SELECT action FROM liquidation_steps WHERE user_id = $1 ORDER BY liquidation_id, step"
        return [row["action"] for row in await self.session.fetch(query, user)]

    async def receipts(self, user: int, action: str) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Inputs and outcome of each step of a kind."""
        query = "SELECT inputs, outcome FROM liquidation_steps WHERE user_id = $1 AND action = $2 ORDER BY 1"
        query = query.replace("ORDER BY 1", "ORDER BY liquidation_id, step")
        rows = await self.session.fetch(query, user, action)
        return [(orjson.loads(row["inputs"]), row["outcome"] and json.loads(row["outcome"])) for row in rows]

    async def is_flagged(self, user: int) -> bool:
        """Whether a liquidation of the account is open."""
        query = "SELECT liquidation_id IS NOT NULL FROM accounts WHERE user_id = $1"
        return bool(await self.session.fetchval(query, user))


def new_liquidator(dsn: str) -> Liquidator:
    """A liquidator that remembers nothing."""
    return Liquidator(StreamSettings(dsn, "nowhere", datadir=Path()))


@asynccontextmanager
async def scene_on(dsn: str) -> AsyncIterator[Scene]:
    """A fresh scene; its books must balance in the end."""
    exchange = await open_exchange(dsn)
    scene = Scene(exchange)
    try:
        yield scene
        await exchange.settle()
        findings = await audit(exchange.session)
        assert findings == []
    finally:
        await exchange.close()
