"""Clients as they should be: each order has a client id and is repeated, unchanged, until it has a final answer."""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.load.generator import REFERENCE, Reference, Trader, make_traders, orders

AGAIN_AFTER_S = 0.1
PACE_S = 0.02  # between two orders of a client, so that faults are visible, not a loaded machine
ANSWER_WITHIN_S = 30.0
KEPT_MAX = 200
AMENDED_TO = ("0.001", "0.02", "0.005")
AMENDS = {(202, ""), (409, "ORDER_NOT_OPEN"), (503, "UNAVAILABLE"), (503, "OVERLOADED"), (400, "INVALID_ORDER")}
NO_AMENDS = (409, "MARKET_NOT_ACTIVE")  # of older rules
CANCELS = {(202, ""), (409, "ORDER_NOT_OPEN"), (503, "UNAVAILABLE")}


@dataclass
class PatientLoad:
    """What the clients were answered by the exchange at `url`, which may move.

    `accepted`: {client id: order id}, once it was 202 or 200. `replies`: every status and error code, with how often it
    came. `amended`: amends that were accepted. `cut`: requests that got no answer, `cut_by` why. `refused`: connections that were refused. `slowest_s`: the longest that an
    answer took.
    """

    url: str
    traders: list[Trader]
    accepted: dict[str, str] = field(default_factory=dict)
    replies: Counter[tuple[int, str]] = field(default_factory=Counter)
    amended: int = 0
    cut: int = 0
    cut_by: list[str] = field(default_factory=list)
    refused: int = 0
    last: tuple[int, str] = (0, "")
    slowest_s: float = 0.0
    is_over: bool = False
    reference: Reference = field(default_factory=lambda: REFERENCE)
    running: asyncio.Task[None] | None = None

    def raise_what_ended_it(self) -> None:
        """Raise what a client was answered that it could not live with; nothing while they trade."""
        if self.running is not None and self.running.done():
            self.running.result()

    async def place(self, session: aiohttp.ClientSession, trader: Trader, order: dict[str, Any]) -> str:
        """Repeat one order until it is accepted, and return its id; AssertionError if the order itself is refused."""
        while True:
            status, code, body = await self._attempt(session, trader, order)
            if status in (200, 202):
                self.accepted[order["clientOrderId"]] = body["orderId"]
                return str(body["orderId"])
            assert status in (0, 503), (status, code, order)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def place_many(
        self, session: aiohttp.ClientSession, trader: Trader, seed: int, count: int, pace_s: float
    ) -> None:
        """Place this many orders, each after the last is accepted; none is started once the load is over.

        One that is old is cancelled, so that no account reaches its limit of open orders. Every fourth is amended right away.
        """
        stream, prefix = orders(seed, self.reference), secrets.token_hex(4)
        placed: deque[str] = deque()
        for number in range(count):
            if self.is_over:
                return
            placed.append(await self.place(session, trader, {**next(stream), "clientOrderId": f"{prefix}-{number}"}))
            if number % 4 == 0:
                await self._amend(session, trader, placed[-1], number)
            if len(placed) > KEPT_MAX:
                await self._cancel(session, trader, placed.popleft())
            await asyncio.sleep(pace_s)

    async def _cancel(self, session: aiohttp.ClientSession, trader: Trader, order_id: str) -> None:
        """Ask once; it may have ended, and the answer may get lost. A cancel is never refused as OVERLOADED."""
        try:
            async with session.delete(f"{self.url}/orders/{order_id}", headers=trader.headers) as answer:
                code = (await answer.json()).get("error", {}).get("code", "")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        assert (answer.status, code) in CANCELS, (answer.status, code)

    async def _amend(self, session: aiohttp.ClientSession, trader: Trader, order_id: str, number: int) -> None:
        """Ask once for a smaller or a larger quantity; it may have ended, and the answer may get lost."""
        asked = {"quantity": AMENDED_TO[number % len(AMENDED_TO)]}
        try:
            async with session.put(f"{self.url}/orders/{order_id}", json=asked, headers=trader.headers) as answer:
                code = (await answer.json()).get("error", {}).get("code", "")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        assert (answer.status, code) in AMENDS | {NO_AMENDS}, (answer.status, code)
        self.amended += answer.status == 202

    async def _attempt(
        self, session: aiohttp.ClientSession, trader: Trader, order: dict[str, Any]
    ) -> tuple[int, str, Any]:
        began = time.monotonic()
        try:
            async with session.post(f"{self.url}/orders", json=order, headers=trader.headers) as answer:
                body = await answer.json()
        except aiohttp.ClientConnectorError:
            self.refused += 1
            return 0, "", None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.cut += 1
            self.cut_by.append(f"{error!r} after {time.monotonic() - began:.2f} s")
            return 0, "", None
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        code = body["error"]["code"] if "error" in body else ""
        self.last = (answer.status, code)
        self.replies[self.last] += 1
        return answer.status, code, body


async def place_all(url: str, traders: list[Trader], total: int) -> PatientLoad:
    """Every trader places their share of `total` orders."""
    load = PatientLoad(url, traders)
    await _trade(load, total // len(traders), pace_s=0)
    return load


@asynccontextmanager
async def trading(url: str, clients: int = 4, reference: Reference = REFERENCE) -> AsyncIterator[PatientLoad]:
    """New traders who continue until the block ends; then each waits for their answer."""
    load = PatientLoad(url, await make_traders(url, clients), reference=reference)
    load.running = running = asyncio.create_task(_trade(load, 1_000_000, PACE_S))
    try:
        yield load
        load.is_over = True
        async with asyncio.timeout(120):
            await running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _trade(load: PatientLoad, share: int, pace_s: float) -> None:
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        await asyncio.gather(
            *(load.place_many(session, trader, seed, share, pace_s) for seed, trader in enumerate(load.traders))
        )
