"""The demo: seeded users, price sources, a market maker, traders and a gambler, all through public interfaces."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from agents.prices.feed import PriceFeed
from agents.worker.fail_stop import on_stop_signal
from agents.worker.presence import seen
from app.demo.feed import DemoWalks, begin_walks
from app.demo.markets import DEMO_MARKETS
from app.demo.shocks import take_shocks
from app.demo.trading import Trading
from app.demo.users import credentials
from app.logs import configure_logs
from app.metrics import metrics_served
from app.settings import Settings
from schemas.addresses import local_url
from store.session.connect import connect_writer

SHOCKS_EVERY_S = 0.2
CLOSED = {"HALTED", "SETTLEMENT_ONLY", "SETTLED"}

log = logging.getLogger(__name__)


async def run_demo(settings: Settings) -> None:
    """Seed the users, report prices and trade until SIGTERM; if any of them ends, the process ends."""
    configure_logs(settings.log_format)
    seed = time.time_ns() if settings.demo_seed is None else settings.demo_seed
    log.info("DEMO_SEED=%d repeats the prices and the orders of this demo", seed)
    stopped = asyncio.Event()
    on_stop_signal(stopped.set)
    walks = await _begin_walks(settings, seed)
    async with (
        metrics_served(settings.metrics_host, settings.metrics_port) as address,
        seen("demo", settings.database_url, address, needs_clock=True),
    ):
        await _work(settings, walks, seed, stopped)


async def _work(settings: Settings, walks: DemoWalks, seed: int, stopped: asyncio.Event) -> None:
    feed = PriceFeed(settings.database_url, walks.all)
    await feed.start()
    works = [feed.wait(), _shock(settings, walks), _trade(settings, seed), stopped.wait()]
    try:
        done, _ = await asyncio.wait([asyncio.ensure_future(work) for work in works], return_when="FIRST_COMPLETED")
        for work in done:
            work.result()
    finally:
        await feed.stop()


async def is_quoting(settings: Settings) -> bool:
    """Whether every market has bids and asks, except those that an operator has closed."""
    async with _api(settings) as session:
        try:
            return all([await _has_quotes(session, spec.market) for spec in DEMO_MARKETS])
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


async def _has_quotes(session: aiohttp.ClientSession, market: str) -> bool:
    book = await _public(session, f"/markets/{market}/orderbook?depth=1")
    return bool(book["bids"] and book["asks"]) or (await _public(session, f"/markets/{market}"))["status"] in CLOSED


async def _public(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        answer.raise_for_status()
        return await answer.json()


async def _begin_walks(settings: Settings, seed: int) -> DemoWalks:
    session = await connect_writer(settings.database_url, "demo")
    try:
        return await begin_walks(session, seed)
    finally:
        await session.close()


async def _shock(settings: Settings, walks: DemoWalks) -> None:
    while True:
        for shock in take_shocks(settings.data):
            log.info("%s jumps by %d ppm", shock.market, shock.by_ppm, extra={"market": shock.market})
            walks.take(shock)
        await asyncio.sleep(SHOCKS_EVERY_S)


async def _trade(settings: Settings, seed: int) -> None:
    async with _api(settings) as session:
        await Trading(session, credentials(settings.data), seed).run()


@contextlib.asynccontextmanager
async def _api(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    base = local_url(settings.http_host, settings.port)
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session
