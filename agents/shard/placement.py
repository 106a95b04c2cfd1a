"""Which shards and markets a worker process serves now, by the placement in the database."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from store.markets.placement import Placed, read_placement
from store.session.connect import Connection

LOOK_EVERY_S = 0.5
MARKETS_AT_ONCE = 8
"""How many markets of a shard begin, or finish, at a time: each holds a session of PostgreSQL and a reader of Kafka meanwhile."""


class Served(NamedTuple):
    """The shards to serve with the markets that are placed in each, and those of them that are finished."""

    shards: Mapping[str, frozenset[str]]
    finished: frozenset[str] = frozenset()

    @property
    def at_work(self) -> frozenset[str]:
        """The markets that are not finished."""
        return frozenset().union(*self.shards.values()) - self.finished


class Scope(NamedTuple):
    """What a process must serve: these shards, and the shards of these markets. Without either, all of them."""

    markets: Collection[str] = ()
    shards: Collection[str] = ()

    def served(self, placement: Mapping[str, Placed]) -> Served:
        """The shards to serve, each with all markets that are placed in it."""
        wanted = set(self.shards) | {placement[market].shard for market in self.markets if market in placement}
        markets: dict[str, set[str]] = {}
        for market, placed in placement.items():
            if placed.shard in wanted or not (self.shards or self.markets):
                markets.setdefault(placed.shard, set()).add(market)
        shards = {shard: frozenset(found) for shard, found in markets.items()}
        finished = {market for market in frozenset().union(*shards.values()) if placement[market].is_finished}
        return Served(shards, frozenset(finished))


EVERYTHING = Scope()


class PlacementWatch(Service):
    """Looks at the placement twice a second, over one session; calls `follow` with what to serve at each change."""

    def __init__(self, scope: Scope, settings: StreamSettings, follow: Callable[[Served], Awaitable[None]]) -> None:
        super().__init__("placement", settings.dsn)
        self._scope = scope
        self._follow = follow
        self._followed: Served | None = None

    async def serve(self, session: Connection) -> None:
        """Look, forever."""
        while True:
            served = self._scope.served(await read_placement(session))
            if served != self._followed:
                self._followed = served
                await self._follow(served)
            await asyncio.sleep(LOOK_EVERY_S)
