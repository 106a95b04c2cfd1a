"""The scenario file, and who does what in it: all chance comes from its seed."""

import random
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from schemas.market import SEED_MARKETS, MarketSpec
from schemas.orders import Side
from schemas.units import NANO_E18, Nanos, Timestamp, parse_decimal_e18, timestamp_of

FILE = Path(__file__).with_name("scenario.json")


class MarketPlan(msgspec.Struct, frozen=True, rename="camel"):
    """A market: whose rules it has, where it starts, and what its index is made of."""

    like: str
    funding_interval_hours: int
    index: str
    sources: list[str]
    quorum: int


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """Accounts of a kind: what they may deposit and risk, and on which sides of which markets they trade."""

    name: str
    count: int
    enters_at_step: int
    deposits: list[str]
    leverages: list[int]
    positions: list[dict[str, Side]]


class Quotes(msgspec.Struct, frozen=True, rename="camel"):
    """What each maker shows on each side after each step: a number of levels of a notional."""

    levels: int
    spacing_ppm: int
    notional: str


class Noise(msgspec.Struct, frozen=True, rename="camel"):
    """What everybody else does at that time."""

    orders_per_step: int


class PathStep(msgspec.Struct, frozen=True, rename="camel"):
    """Where the index goes, in percent of where it started."""

    move_percent: str


class Scenario(msgspec.Struct, frozen=True, rename="camel"):
    """The whole day."""

    seed: int
    begins_at: datetime
    minutes_per_step: int
    report_every_minutes: int
    fund: str
    markets: dict[str, MarketPlan]
    accounts: list[Group]
    quotes: Quotes
    noise: Noise
    path: list[PathStep]

    @property
    def began_at(self) -> Timestamp:
        """When it starts."""
        return timestamp_of(self.begins_at)

    def index_at(self, market: str, step: int) -> Nanos:
        """The index of a market at a step."""
        at_start = parse_decimal_e18(self.markets[market].index)
        assert at_start is not None
        percent = 100 + Decimal(self.path[step].move_percent)
        return Nanos(int(at_start * percent / 100) // NANO_E18)

    def spec(self, market: str, listed_as: str) -> MarketSpec:
        """The rules of a market under the name it is listed by."""
        plan = self.markets[market]
        (model,) = [spec for spec in SEED_MARKETS if spec.market == plan.like]
        return msgspec.structs.replace(
            model,
            market=listed_as,
            funding_interval_hours=plan.funding_interval_hours,
            reference_price=self.index_at(market, 0),
        )


class Member(msgspec.Struct):
    """One account: what its group let chance choose. `user` is its number once it is registered."""

    group: str
    enters_at_step: int
    deposit: str
    leverage: int
    positions: dict[str, Side]
    user: int = 0


def load_scenario() -> Scenario:
    """The recorded day."""
    return msgspec.json.decode(FILE.read_bytes(), type=Scenario)


def members_of(scenario: Scenario, chance: random.Random) -> list[Member]:
    """All accounts, in the order they register."""
    members = [
        Member(
            group.name, group.enters_at_step, chance.choice(group.deposits), chance.choice(group.leverages), positions
        )
        for group in scenario.accounts
        for positions in (chance.choice(group.positions) for _ in range(group.count))
    ]
    chance.shuffle(members)
    return members
