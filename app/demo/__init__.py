"""The demo: seeded users, a price feed and a market maker, all through doors that everyone has."""

import asyncio
import contextlib
import signal

import aiohttp

from app.demo.feed import Feed
from app.demo.maker import Maker
from app.demo.traders import credentials, log_in, seed_users
from app.settings import Settings
from schemas.market import SEED_MARKETS

ROUND_S = 1.0


async def run_demo(settings: Settings) -> None:
    """Seed the users, then move the index and quote every seed market each second until SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    base = f"http://{settings.http_host}:{settings.port}"
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=10)) as session:
        tokens = await seed_users(session, settings.data)
        markets = [spec.market for spec in SEED_MARKETS]
        feed = Feed(settings.database_url, markets)
        makers = [Maker(session, tokens["maker"], market) for market in markets]
        while not stopped.is_set():
            await _round(feed, makers)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), ROUND_S)


async def is_quoting(settings: Settings) -> bool:
    """Whether the market maker has quotes on both sides of every seed market."""
    base = f"http://{settings.http_host}:{settings.port}"
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=10)) as session:
        try:
            token = await log_in(session, credentials(settings.data)["maker"])
        except aiohttp.ClientResponseError:  # not registered yet
            return False
        makers = [Maker(session, token, spec.market) for spec in SEED_MARKETS]
        return all([await maker.quoted_sides() == {"BUY", "SELL"} for maker in makers])


async def _round(feed: Feed, makers: list[Maker]) -> None:
    """One second of the demo; what is down comes back, and the next round goes on."""
    try:
        await feed.move()
        await asyncio.gather(*(maker.quote() for maker in makers))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        print(f"demo waits: {error!r}", flush=True)
