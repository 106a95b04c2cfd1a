"""The demo's price sources: three random walks per market, reported like any others, and shocks from the command line."""

from agents.prices.random_walk import RandomWalk
from app.demo.markets import DEMO_MARKETS, DEMO_QUORUM, DEMO_SOURCES
from app.demo.shocks import Shock
from schemas.commands import SetPriceSources
from schemas.units import Nanos
from store.command_log.commands import append_command
from store.markets.price_sources import read_index_sources
from store.session.checked_clock import machine_time
from store.session.connect import Session


class DemoWalks:
    """The walks of every demo market; a shock moves all walks of its market."""

    def __init__(self, starts: dict[str, Nanos], seed: int) -> None:
        self._by_market = {
            market: [RandomWalk(source.name, market, start, seed) for source in DEMO_SOURCES]
            for market, start in starts.items()
        }

    @property
    def all(self) -> list[RandomWalk]:
        """What a feed reports."""
        return [walk for walks in self._by_market.values() for walk in walks]

    def take(self, shock: Shock) -> None:
        """Make a market's price jump."""
        for walk in self._by_market.get(shock.market, ()):
            walk.nudge(shock.by_ppm)


async def begin_walks(session: Session, seed: int) -> DemoWalks:
    """Set the sources of every demo market that has none, and start its walks at its current index."""
    known = await read_index_sources(session)
    for spec in DEMO_MARKETS:
        if not known[spec.market].sources:
            at = machine_time()
            await append_command(session, spec.market, SetPriceSources(at, DEMO_SOURCES, DEMO_QUORUM))
    rows = await session.fetch("SELECT name, index_price FROM markets")
    index = {row["name"]: Nanos(row["index_price"]) for row in rows}
    return DemoWalks({spec.market: index[spec.market] for spec in DEMO_MARKETS}, seed)
