"""Clients that trade as fast as they are answered (closed loop), in the process that calls them."""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

PASSWORD = "bench-password"  # noqa: S105 - of users that live for one run
Reference = Mapping[str, tuple[int, int, str]]
"""By market: a price, the decimals of its tick, and a quantity with a place for a digit."""
REFERENCE: Reference = {"BTC-PERP": (60_000, 1, "0.00{}"), "ETH-PERP": (3_000, 2, "0.0{}")}


@dataclass(frozen=True)
class Trader:
    """A registered and funded user."""

    user_id: str
    headers: dict[str, str]


@dataclass
class Outcome:
    """What the clients were answered: accepted orders by id, and every status with how often it came."""

    accepted: list[tuple[Trader, str]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    seconds: float = 0.0


async def make_traders(base: str, count: int, amount: str = "100000") -> list[Trader]:
    """Register, log in and fund `count` users."""
    async with aiohttp.ClientSession(base) as session:
        return list(await asyncio.gather(*(make_trader(session, amount) for _ in range(count))))


async def make_trader(session: aiohttp.ClientSession, amount: str) -> Trader:
    """One more user with `amount` USDC."""
    body = {"email": f"{secrets.token_hex(8)}@load.example", "password": PASSWORD}
    async with session.post("/auth/register", json=body) as answer:
        answer.raise_for_status()
    async with session.post("/auth/login", json=body) as answer:
        login = await answer.json()
    trader = Trader(login["userId"], {"Authorization": f"Bearer {login['token']}"})
    async with session.post("/deposits", json={"asset": "USDC", "amount": amount}, headers=trader.headers) as answer:
        answer.raise_for_status()
    return trader


def orders(seed: int, reference: Reference = REFERENCE) -> Iterator[dict[str, Any]]:
    """An endless stream of small limit orders around the reference prices; about half of them trade."""
    draw = random.Random(seed)  # noqa: S311 - a repeatable load, not a secret
    while True:
        market = draw.choice(list(reference))
        price, decimals, quantity = reference[market]
        ticks = price * 10**decimals + draw.randint(-20, 20)
        yield {
            "marketId": market,
            "side": draw.choice(("BUY", "SELL")),
            "type": "LIMIT",
            "quantity": quantity.format(draw.randint(1, 5)),
            "price": f"{ticks // 10**decimals}.{ticks % 10**decimals:0{decimals}d}",
        }


async def send_orders(base: str, traders: list[Trader], total: int) -> Outcome:
    """Every trader sends their share of `total` orders, the next when the last is answered."""
    outcome = Outcome()
    share, rest = divmod(total, len(traders))
    began = time.perf_counter()
    async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(limit=0)) as session:
        counts = [share + (number < rest) for number in range(len(traders))]
        await asyncio.gather(
            *(
                _trade(session, trader, count, number, outcome)
                for number, (trader, count) in enumerate(zip(traders, counts, strict=True))
            )
        )
    outcome.seconds = time.perf_counter() - began
    return outcome


async def _trade(session: aiohttp.ClientSession, trader: Trader, count: int, seed: int, outcome: Outcome) -> None:
    stream = orders(seed)
    for _ in range(count):
        try:
            async with session.post("/orders", json=next(stream), headers=trader.headers) as answer:
                outcome.statuses[answer.status] += 1
                if answer.status == 202:
                    outcome.accepted.append((trader, (await answer.json())["orderId"]))
        except (aiohttp.ClientError, OSError):
            outcome.cut += 1
            return
