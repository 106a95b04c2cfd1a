"""An operator who sets risk tiers and an open-interest limit at random moments, and takes them away again."""

from random import Random

from schemas.commands import SetSpec
from schemas.market import RULES_FOURTH
from schemas.risk_tiers import RiskTier
from schemas.units import Micros, Ppm
from store.command_log.commands import append_command
from tests.simulation.system import System
from tests.simulation.tables import MarketRow
from tests.simulation.virtual_loop import Process
from tests.simulation.world import World

ONE_SEED_IN, THE_SEED = 7, 6
"""The other seeds have no such operator, and run as they did before there was one: tests name some of them."""
ONE_STEP_IN = 4
SET = "risk tiers set"
USDC = 1_000_000


class Limits:
    """The operator; draws nothing of what the others draw."""

    def __init__(self, world: World, system: System) -> None:
        self._world, self._system = world, system
        self._process = Process("operator-2")
        self._dice = Random(f"limits {world.seed}")  # noqa: S311 - the same for the same seed

    def act(self) -> None:
        """Now and then, set the tiers of a market that knows such a command."""
        markets = [row for row in self._system.database.tables.markets.values() if row.rules >= RULES_FOURTH]
        if self._world.seed % ONE_SEED_IN == THE_SEED and markets and not self._dice.randrange(ONE_STEP_IN):
            self._world.spawn(self._process, self._set(self._dice.choice(markets)))

    async def _set(self, market: MarketRow) -> None:
        limit = Micros(self._dice.choice((0, 0, 20_000, 200_000)) * USDC)
        try:
            session = await self._system.database.connect()
            await append_command(session, market.name, SetSpec(self._world.now(), self._tiers(market), limit))  # type: ignore[arg-type]  # the fake of a session
            await session.close()
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - the operator's connection was cut: the operator may check and retry
            self._world.note(f"the operator got {type(error).__name__}")
        else:
            self._world.counts[SET] += 1

    def _tiers(self, market: MarketRow) -> tuple[RiskTier, ...]:
        """None, or up to three that are valid next to the rates of the market."""
        borders = sorted(self._dice.sample((1_000, 4_000, 12_000, 50_000, 300_000), self._dice.randint(0, 3)))
        rates = [(market.spec.initial_margin_rate * n, market.spec.maintenance_margin_rate * n) for n in (1, 2, 4)]
        return tuple(
            RiskTier(Micros(border * USDC), Ppm(initial), Ppm(kept), 1_000_000 // initial)
            for border, (initial, kept) in zip(borders, rates, strict=False)
        )
