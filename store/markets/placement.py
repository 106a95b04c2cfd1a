"""In which shard each market is placed: an operator's decision, which every worker follows within half a second.

Exception
└── BadShard              a name that no shard can have
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from store.command_log.commands import MarketUnknown
from store.session.connect import Session

MAIN_SHARD = "main"
"""The shard of a market that nobody has placed."""

_NAME = re.compile(r"[a-z0-9-]{1,32}")
IS_FINISHED = "m.status = 'SETTLED' AND m.halted_reason IS NULL AND r.pruned_seq = c.command_seq"
"""That a market needs no worker: what is pruned from the outbox is sent, persisted, and covered by a snapshot in PostgreSQL."""

_READ = f"""
SELECT m.name, m.shard, {IS_FINISHED} AS is_finished
FROM markets m JOIN counters c USING (market_id) JOIN relay_cursors r USING (market_id) ORDER BY m.market_id
"""  # noqa: S608 - a condition of ours
_PLACE = "UPDATE markets SET shard = coalesce($2, lower(name)) WHERE name = ANY($1) RETURNING name, shard"


class BadShard(Exception):
    """No shard can have this name: it is part of a consumer group's name, and not a market's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no name of a shard: 1 to 32 lower-case letters, digits and hyphens")
        self.name = name


def check_shard(name: str) -> None:
    """Raise BadShard for a name that no shard can have."""
    if not _NAME.fullmatch(name):
        raise BadShard(name)


class Placed(NamedTuple):
    """The shard of a market. `is_finished`: it is settled, and no command of it is under way, so it needs no worker."""

    shard: str
    is_finished: bool = False


async def read_placement(session: Session) -> Mapping[str, Placed]:
    """Where every listed market is placed, by its name."""
    return {row["name"]: Placed(row["shard"], row["is_finished"]) for row in await session.fetch(_READ)}


async def place_markets(session: Session, markets: Collection[str], shard: str | None) -> Mapping[str, str]:
    """Place all of these markets, or none, in a shard; each in one of its own, named after it, if that is None.

    Returns where they are now. Raises MarketUnknown, BadShard.
    """
    for name in [shard] if shard is not None else [market.lower() for market in markets]:
        check_shard(name)
    async with session.transaction():
        placed = {row["name"]: row["shard"] for row in await session.fetch(_PLACE, list(markets), shard)}
        for market in markets:
            if market not in placed:
                raise MarketUnknown(market)
    return placed
