"""Keeps what a demo user has between half and double of what it started with, whatever it wins, loses and pays in fees."""

from decimal import Decimal

from app.demo.client import Client
from app.demo.users import usdc


class Stake:
    """The money of one user. It is deposited and withdrawn like anybody's, so the books balance and the ledger shows it."""

    def __init__(self, client: Client, amount: int) -> None:
        self._client = client
        self._amount = Decimal(amount)

    async def keep(self) -> None:
        """Deposit what is missing, or withdraw what is free of what is too much."""
        [balance] = [one for one in await self._client.get("/balances") if one["asset"] == "USDC"]
        total, free = Decimal(balance["total"]), Decimal(balance["available"])
        if total < self._amount / 2:
            await self._client.post("/deposits", usdc(self._amount - total))
        elif total > 2 * self._amount and free > 0:
            await self._client.post("/withdrawals", usdc(min(free, total - self._amount)))
