"""Everybody who trades in the demo, each at their own pace, for as long as it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from agents.worker.retry import Backoff
from app.demo.client import Client, Credential
from app.demo.flow import order_flow
from app.demo.gambler import Gambler
from app.demo.ladder import Ladder
from app.demo.maker import Maker
from app.demo.markets import DEMO_MARKETS
from app.demo.stake import Stake
from app.demo.terms import Terms, terms_of
from app.demo.trader import Trader
from app.demo.users import DEPOSITS, SHOWN, TRADERS, seed_users
from store.session.checked_clock import machine_time

QUOTE_EVERY_S = 2.0
GAMBLE_EVERY_S = 3.0
STAKES_EVERY_S = 120.0
LATE_S = 5.0
"""An order this late is left out: after an outage nobody makes up for what was missed."""

log = logging.getLogger(__name__)


class Trading:
    """The users of one exchange, at work."""

    def __init__(self, session: aiohttp.ClientSession, credentials: dict[str, Credential], seed: int) -> None:
        self._session = session
        self._clients = {name: Client(session, one) for name, one in credentials.items()}
        self._terms: dict[str, Terms] = {}
        maker = self._clients["maker"]
        self._makers = {spec.market: Maker(maker, Ladder(spec.market, seed)) for spec in DEMO_MARKETS}
        self._traders = [Trader(self._clients[name], machine_time) for name in TRADERS]
        self._gambler = Gambler(self._clients["carol"], DEMO_MARKETS[0].market)
        self._stakes = [Stake(self._clients[name], DEPOSITS[name]) for name in ("maker", *TRADERS)]
        self._flow = order_flow([spec.market for spec in DEMO_MARKETS], seed, len(TRADERS))

    async def run(self) -> None:
        """Seed the users, then trade without end. An error that is no outage ends it."""
        await persistently(lambda: seed_users(self._clients, SHOWN))
        async with asyncio.TaskGroup() as group:
            group.create_task(every(QUOTE_EVERY_S, self._quote))
            group.create_task(every(GAMBLE_EVERY_S, self._gambler.play))
            await persistently(lambda: seed_users(self._clients, TRADERS))
            group.create_task(every(STAKES_EVERY_S, self._keep_stakes))
            group.create_task(self._trade())

    async def _quote(self) -> None:
        """One round of the market maker: look at all markets, and quote those that need it."""
        async with self._session.get("/markets") as answer:
            answer.raise_for_status()
            self._terms = {view["id"]: terms_of(view) for view in await answer.json()}
        for market, maker in self._makers.items():
            await maker.quote(self._terms[market])

    async def _trade(self) -> None:
        """Place each order of the flow at its time."""
        clock = asyncio.get_running_loop()
        began_s = clock.time()
        for intent in self._flow:
            late_s = clock.time() - began_s - intent.at_s
            await asyncio.sleep(max(0.0, -late_s))
            terms = self._terms.get(intent.market)
            if terms is not None and terms.is_active and late_s < LATE_S:
                await attempt(partial(self._traders[intent.trader].act, intent, terms))

    async def _keep_stakes(self) -> None:
        for stake in self._stakes:
            await stake.keep()


async def every(period_s: float, act: Callable[[], Awaitable[None]]) -> None:
    """Act without end, with a pause after each time."""
    while True:
        await attempt(act)
        await asyncio.sleep(period_s)


async def persistently(act: Callable[[], Awaitable[None]]) -> None:
    """Act until no outage prevents it."""
    backoff = Backoff()
    while not await attempt(act):
        await backoff.wait()


async def attempt(act: Callable[[], Awaitable[None]]) -> bool:
    """Act once; an outage is logged, and the result is False."""
    try:
        await act()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("the demo is waiting: %s", _described(error))
        return False
    return True


def _described(error: Exception) -> str:
    """The error as text for the log; the full text of a refused request would contain its headers, and so the token."""
    return f"{error.status} {error.message}" if isinstance(error, aiohttp.ClientResponseError) else repr(error)
