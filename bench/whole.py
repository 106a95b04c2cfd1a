"""The whole exchange as `make run` starts it, and what its database says after a load."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from app.operator import audit_books, drain_markets
from app.settings import Settings, load_settings, resolve_local
from bench.exchange_process import ExchangeProcess
from bench.load.job import Job, Kind, Report, run_load
from bench.load.order_bodies import random_orders
from bench.load.users import FundedUser, make_users

DRAINS = 20  # of 30 s each, before a backlog counts as lost


class Lost(Exception):
    """An accepted order is missing, still PENDING, or has other fills than it shows."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@asynccontextmanager
async def whole_exchange(folder: Path) -> AsyncIterator[ExchangeProcess]:
    """A fresh exchange up and ready."""
    exchange = ExchangeProcess(folder / "whole")
    await exchange.start()
    try:
        yield exchange
    finally:
        await exchange.stop()


def settings_of(exchange: ExchangeProcess) -> Settings:
    """The settings of a command line on the same exchange."""
    return resolve_local(load_settings({"DATA": str(exchange.data)}))


async def users_of(exchange: ExchangeProcess, count: int, prefix: str) -> list[FundedUser]:
    """Funded users of it."""
    secret = (exchange.data / "jwt_secret").read_text()
    return await make_users(settings_of(exchange).database_url, secret, count, prefix)


def address_of(exchange: ExchangeProcess) -> tuple[str, int]:
    """Host and port of its API."""
    url = urlsplit(exchange.url)
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


def job_for(exchange: ExchangeProcess, users: Sequence[FundedUser], **what: Any) -> Job:
    """A load on it; by default a closed loop of random orders."""
    usual = {"kind": Kind.CLOSED, "orders": random_orders(len(users), 1_000)}
    return Job(*address_of(exchange), tokens=[funded.token for funded in users], **(usual | what))


async def load_on(exchange: ExchangeProcess, users: Sequence[FundedUser], **what: Any) -> Report:
    """Let that load run."""
    return await run_load(job_for(exchange, users, **what))


async def drained(exchange: ExchangeProcess) -> None:
    """Wait until everything accepted is matched and persisted."""
    for _ in range(DRAINS):
        if await drain_markets(settings_of(exchange)) is not None:
            return
    raise Lost(f"the logs were not through after {DRAINS} drains")


async def nothing_is_lost(exchange: ExchangeProcess, users: Sequence[FundedUser], order_ids: Sequence[str]) -> None:
    """Each order answered 202 is stored, has left PENDING and has exactly the fills it says; the books balance."""
    user_ids = [funded.user for funded in users]
    session = await asyncpg.connect(settings_of(exchange).database_url)
    try:
        stored = await session.fetch(_ORDERS, user_ids)
        found = {row["id"] for row in stored}
        _expect(f"{len(set(order_ids) - found)} accepted orders are not stored", set(order_ids) <= found)
        _expect("orders are still PENDING", all(row["status"] != "PENDING" for row in stored))
        _expect("fills are missing or doubled", not await session.fetchval(_WRONG_FILLS, user_ids))
    finally:
        await session.close()
    await _fills_are_readable(exchange, users[0])
    findings = await audit_books(settings_of(exchange), is_deep=False)
    _expect(f"the audit finds {findings}", not findings)


async def fills_stored(exchange: ExchangeProcess) -> int:
    """How many sides of trades there are."""
    session = await asyncpg.connect(settings_of(exchange).database_url)
    try:
        return int(await session.fetchval("SELECT count(*) FROM fills"))
    finally:
        await session.close()


async def _fills_are_readable(exchange: ExchangeProcess, funded: FundedUser) -> None:
    """GET /fills of one user, page by page, returns as many as the database holds for them."""
    session = await asyncpg.connect(settings_of(exchange).database_url)
    try:
        stored = int(await session.fetchval("SELECT count(*) FROM fills WHERE user_id = $1", funded.user))
    finally:
        await session.close()
    read, query = 0, "limit=500"
    async with aiohttp.ClientSession(exchange.url, headers={"Authorization": f"Bearer {funded.token}"}) as client:
        while query:
            async with client.get(f"/fills?{query}") as answer:
                page = await answer.json()
            read += len(page["data"])
            query = f"limit=500&cursor={page['nextCursor']}" if page["nextCursor"] else ""
    _expect(f"{read} fills are readable, {stored} stored", read == stored)


def _expect(otherwise: str, holds: bool) -> None:
    if not holds:
        raise Lost(otherwise)


_ORDERS = """
SELECT m.name || '-' || seq_of_order_key(o.order_id) AS id, o.status
FROM orders o JOIN markets m USING (market_id) WHERE o.user_id = ANY($1::int8[])
"""
_WRONG_FILLS = """
SELECT count(*) FROM orders o
LEFT JOIN (SELECT order_id, sum(quantity) AS lots FROM fills GROUP BY order_id) f USING (order_id)
WHERE o.user_id = ANY($1::int8[]) AND o.filled_lots <> coalesce(f.lots, 0)
"""
