"""Which markets this process follows: a market begins with the first who asks for it, and ends a minute after the last."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from api.database import Database
from api.live.market_follower import MarketFollower
from api.live.metrics import LIVE_FOLLOWED_MARKETS
from schemas.units import Timestamp

LINGERS_S = 60.0
"""How long a market is followed after the last has left: a client that reconnects finds it at work."""


class Handle(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Do not call."""


Later = Callable[[float, Callable[[], None]], Handle]
"""Call something so many seconds later."""


class _Followed:
    """A market being followed, and for how many."""

    def __init__(self, follower: MarketFollower) -> None:
        self.follower = follower
        self.beginning = asyncio.create_task(follower.begin(), name=f"begin live-{follower.market}")
        self.users = 0
        self.ending: Handle | None = None


class Followers:
    """The followers of this process, one a market."""

    def __init__(
        self, database: Database, bootstrap: str, now: Callable[[], Timestamp], later: Later | None = None
    ) -> None:
        self._database = database
        self._bootstrap = bootstrap
        self._now = now
        self._later = later
        self._followed: dict[str, _Followed] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.on_close: Callable[[MarketFollower], None] = lambda _: None
        """Called when a market is followed no longer."""

    async def acquire(self, market: str) -> MarketFollower:
        """Follow a market; `release` it once for every call. Raises KeyError for no market, StoreUnavailable, BrokerUnavailable."""
        followed = self._followed.get(market)
        if followed is None:
            follower = MarketFollower(market, self._database, self._bootstrap, self._now)
            followed = self._followed[market] = _Followed(follower)
            LIVE_FOLLOWED_MARKETS.inc()
        followed.users += 1
        if followed.ending is not None:
            followed.ending.cancel()
            followed.ending = None
        try:
            await asyncio.shield(followed.beginning)
        except BaseException:
            followed.users -= 1
            if followed.beginning.done():
                self._forget(market, followed)
            else:
                self._end_later(market, followed)
            raise
        return followed.follower

    def release(self, follower: MarketFollower) -> None:
        """One user less."""
        followed = self._followed.get(follower.market)
        if followed is not None and followed.follower is follower:
            followed.users -= 1
            self._end_later(follower.market, followed)

    async def close(self) -> None:
        """Follow no market any more."""
        for market, followed in list(self._followed.items()):
            self._forget(market, followed)
        if self._closing:
            await asyncio.wait(self._closing)

    def _end_later(self, market: str, followed: _Followed) -> None:
        if not followed.users and followed.ending is None:
            later = self._later or asyncio.get_running_loop().call_later
            followed.ending = later(LINGERS_S, lambda: self._forget(market, followed))

    def _forget(self, market: str, followed: _Followed) -> None:
        if self._followed.get(market) is not followed:
            return
        del self._followed[market]
        LIVE_FOLLOWED_MARKETS.dec()
        self.on_close(followed.follower)
        closing = asyncio.create_task(_close(followed))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _close(followed: _Followed) -> None:
    followed.beginning.cancel()
    await asyncio.wait([followed.beginning])
    await followed.follower.close()
