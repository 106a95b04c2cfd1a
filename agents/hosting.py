"""The units of a process follow the placement: each shard that is served has one."""

import asyncio
from collections.abc import Callable

from agents.shard.placement import Served
from agents.shard.unit import ShardUnit
from agents.worker.host import Host


class HostedShards:
    """One unit for each shard. A market that moves between two of them leaves the one before it joins the other."""

    def __init__(self, host: Host, build: Callable[[str], ShardUnit]) -> None:
        self._host = host
        self._build = build
        self._units: dict[str, ShardUnit] = {}

    async def follow(self, served: Served) -> None:
        """Serve these shards with these markets."""
        shards, finished = served
        shrinking = [
            unit.place(unit.markets & shards.get(shard, frozenset()), finished) for shard, unit in self._units.items()
        ]
        await asyncio.gather(*shrinking)
        for shard in sorted(self._units.keys() - shards.keys()):
            await self._host.remove(self._units.pop(shard).name)
        for shard, markets in shards.items():
            if shard not in self._units:
                self._units[shard] = unit = self._build(shard)
                await unit.place(markets, finished)
                self._host.add(unit)
            else:
                await self._units[shard].place(markets, finished)
