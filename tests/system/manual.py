"""docs/operate.md as a test types it, and markets to type it for."""

import asyncio
import itertools
import os
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from app.operator import now
from bench.exchange_process import ROOT
from schemas.market import SEED_MARKETS
from store.markets.placement import place_markets
from store.markets.registry import seed
from store.schema.migrate import migrate
from tests.conftest import Broker
from tests.store.account_builder import session_to
from tests.system.parts import Parts

MANUAL = ROOT / "docs" / "operate.md"
MANUALS = ("BTC", "ETH", "SOL", "DOGE", "XRP")
_numbers = itertools.count(1)


class Venue(Parts):
    """Parts for markets with names of their own, because the broker is shared with other tests.

    `names`: the manual's markets, and what they are called here; `shards` likewise. `first` are listed from the beginning,
    `added` is not.
    """

    names: dict[str, str]
    shards: dict[str, str]

    @property
    def first(self) -> list[str]:
        """The four."""
        return list(self.names.values())[:4]

    @property
    def added(self) -> str:
        """The fifth."""
        return list(self.names.values())[4]


def typed(venue: Venue, heading: str) -> list[list[str]]:
    """The `python -m app …` lines of a section of the manual exactly as printed, with this test's markets."""
    text = MANUAL.read_text()
    section = re.split(r"^##+ ", text.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines]
    words = [command[command.index("app") + 1 :] for command in commands if command[1:3] == ["-m", "app"]]
    here = venue.names | venue.shards
    return [[here.get(word, word) for word in command if word != "&"] for command in words]


@asynccontextmanager
async def venue_on(postgres_dsn: str, broker: Broker, folder: Path) -> AsyncIterator[Venue]:
    """Four markets in a database of their own on this server; no process runs yet, no topic is there."""
    number = next(_numbers)
    name = f"scaling_{os.getpid()}_{number}"
    dsn = postgres_dsn.replace("/perpetua?", f"/{name}?")
    venue = Venue(dsn, broker, folder)
    venue.names = {f"{market}-PERP": f"{market}{os.getpid()}X{number}-PERP" for market in MANUALS}
    async with session_to(postgres_dsn) as server:
        await server.execute(f"CREATE DATABASE {name}")
        await asyncio.to_thread(migrate, dsn)
        venue.shards = {shard: f"{shard}-{os.getpid()}-{number}" for shard in ("main", "majors")}
        await seed(dsn, now(), [msgspec.structs.replace(SEED_MARKETS[0], market=market) for market in venue.first])
        async with session_to(dsn) as session:
            await place_markets(session, venue.first, venue.shards["main"])
        try:
            yield venue
        finally:
            venue.kill_all()
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
