"""Which shards and markets a worker process serves now, by the placement in the database."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from store.markets.placement import read_placement
from store.session.connect import Connection

LOOK_EVERY_S = 0.5

Served = Mapping[str, frozenset[str]]
"""{shard: its markets}."""


class Scope(NamedTuple):
    """What a process is told to serve: these shards, and the shards of these markets. Without either, all of them."""

    markets: Collection[str] = ()
    shards: Collection[str] = ()

    def served(self, placement: Mapping[str, str]) -> Served:
        """The shards to serve, each with all markets that are placed in it."""
        wanted = set(self.shards) | {placement[market] for market in self.markets if market in placement}
        markets: dict[str, set[str]] = {}
        for market, shard in placement.items():
            if shard in wanted or not (self.shards or self.markets):
                markets.setdefault(shard, set()).add(market)
        return {shard: frozenset(found) for shard, found in markets.items()}


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
