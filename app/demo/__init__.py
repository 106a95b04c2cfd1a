"""The demo: seeded users, price sources, a market maker and a gambler, all through public interfaces."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import aiohttp

from agents.prices.feed import PriceFeed
from agents.worker.fail_stop import on_stop_signal
from agents.worker.presence import seen
from app.demo.client import Client
from app.demo.feed import DemoWalks, begin_walks
from app.demo.gambler import Gambler
from app.demo.maker import Maker
from app.demo.markets import DEMO_MARKETS
from app.demo.shocks import take_shocks
from app.demo.traders import credentials, log_in, seed_users
from app.logs import configure_logs
from app.metrics import metrics_served
from app.settings import Settings
from schemas.addresses import local_url
from store.session.connect import connect_writer

ROUND_S = 1.0
SHOCKS_EVERY_S = 0.2
GAMBLED_ON = DEMO_MARKETS[0].market

log = logging.getLogger(__name__)


async def run_demo(settings: Settings) -> None:
    """Seed the users, report prices, quote and gamble until SIGTERM; if any of them ends, the process ends."""
    configure_logs(settings.log_format)
    stopped = asyncio.Event()
    on_stop_signal(stopped.set)
    walks = await _begin_walks(settings)
    async with (
        metrics_served(settings.metrics_host, settings.metrics_port) as address,
        seen("demo", settings.database_url, address, needs_clock=True),
    ):
        await _work(settings, walks, stopped)


async def _work(settings: Settings, walks: DemoWalks, stopped: asyncio.Event) -> None:
    feed = PriceFeed(settings.database_url, walks.all)
    await feed.start()
    works = [feed.wait(), _shock(settings, walks), _trade(settings), stopped.wait()]
    try:
        done, _ = await asyncio.wait([asyncio.ensure_future(work) for work in works], return_when="FIRST_COMPLETED")
        for work in done:
            work.result()
    finally:
        await feed.stop()


async def is_quoting(settings: Settings) -> bool:
    """Whether the market maker has quotes on both sides of every market."""
    async with _api(settings) as session:
        try:
            token = await log_in(session, credentials(settings.data)["maker"])
        except aiohttp.ClientResponseError:  # not registered yet
            return False
        makers = [Maker(Client(session, token), spec.market) for spec in DEMO_MARKETS]
        return all([await maker.quoted_sides() == {"BUY", "SELL"} for maker in makers])


async def _begin_walks(settings: Settings) -> DemoWalks:
    session = await connect_writer(settings.database_url, "demo")
    try:
        return await begin_walks(session)
    finally:
        await session.close()


async def _shock(settings: Settings, walks: DemoWalks) -> None:
    while True:
        for shock in take_shocks(settings.data):
            log.info("%s jumps by %d ppm", shock.market, shock.by_ppm, extra={"market": shock.market})
            walks.take(shock)
        await asyncio.sleep(SHOCKS_EVERY_S)


async def _trade(settings: Settings) -> None:
    async with _api(settings) as session:
        tokens = await seed_users(session, settings.data)
        makers = [Maker(Client(session, tokens["maker"]), spec.market) for spec in DEMO_MARKETS]
        gambler = Gambler(Client(session, tokens["carol"]), GAMBLED_ON)
        while True:
            await _round(makers, gambler)
            await asyncio.sleep(ROUND_S)


async def _round(makers: list[Maker], gambler: Gambler) -> None:
    """One round of the demo; an outage is logged, and the next round tries again."""
    try:
        await asyncio.gather(*(maker.quote() for maker in makers))
        await gambler.play()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("the demo is waiting: %s", _described(error))


def _described(error: Exception) -> str:
    """The error as text for the log; the full text of a refused request would contain its headers, and so the token."""
    return f"{error.status} {error.message}" if isinstance(error, aiohttp.ClientResponseError) else repr(error)


@contextlib.asynccontextmanager
async def _api(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    base = local_url(settings.http_host, settings.port)
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session
