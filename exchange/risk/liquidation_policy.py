"""The ladder of a liquidation (docs/semantics.md, "Liquidation"): what is to be done next with an account, from what is known now.

Pure. Nothing is remembered but what the receipts say: whoever takes over after a crash decides the same.
"""

from collections.abc import Sequence

import msgspec

from exchange.position import closing_side
from exchange.risk.liquidation import (
    Share,
    bankrupt_shares,
    equity_elsewhere,
    is_liquidatable,
    is_taken_over,
    limit_price,
    sale_price,
    step_lots,
)
from exchange.risk.margin import Holding, equity, maintenance
from schemas.orders import Side
from schemas.units import Lots, Micros, Ticks


class Held(msgspec.Struct, frozen=True):
    """A position: its market's number and holding, the event that opened it, and whether matching and mark are live there."""

    market_id: int
    holding: Holding
    is_open: bool
    opened_seq: int = 0

    @property
    def lots(self) -> int:
        """Signed lots."""
        return self.holding.exposure.lots

    @property
    def maintenance(self) -> Micros:
        """The position's own part of maintenance."""
        return maintenance(self.holding.spec, self.holding.exposure, self.holding.mark)


class Debtor(msgspec.Struct, frozen=True):
    """An account whose margin is looked at: its wallet (micros) and its positions, by market."""

    user: int
    wallet: Micros
    held: tuple[Held, ...]

    @property
    def holdings(self) -> list[Holding]:
        """What margin is computed from."""
        return [held.holding for held in self.held]

    @property
    def equity(self) -> Micros:
        """Wallet and unrealized profit at mark."""
        return equity(self.wallet, self.holdings)

    @property
    def maintenance(self) -> Micros:
        """Maintenance over all positions."""
        return Micros(sum(held.maintenance for held in self.held))

    @property
    def is_unvalued(self) -> bool:
        """Whether nobody knows what a position is worth, so that the account is left alone."""
        return any(held.holding.is_frozen for held in self.held)

    @property
    def shares(self) -> list[Share]:
        """What each position would be settled at; see `bankrupt_shares`."""
        return bankrupt_shares(self.wallet, self.holdings)


class Past(msgspec.Struct, frozen=True):
    """What this liquidation has done: whether a step has ended, and the markets in which one has just filled nothing."""

    has_stepped: bool = False
    tired: frozenset[int] = frozenset()


class Wait(msgspec.Struct, frozen=True):
    """Nothing can be done now."""


class Release(msgspec.Struct, frozen=True):
    """The account is above maintenance again, or holds nothing any more."""


class Step(msgspec.Struct, frozen=True):
    """A reduce-only IOC order; `equity_elsewhere` bounds its fee."""

    market_id: int
    side: Side
    lots: Lots
    price: Ticks
    equity_elsewhere: Micros
    leverage: int


class Closure(msgspec.Struct, frozen=True):
    """The whole position of signed `lots` and `cost` goes at `share.amount`: to the fund, or to those of the other side."""

    market_id: int
    lots: int
    cost: Micros
    share: Share


def next_action(debtor: Debtor, past: Past) -> Wait | Release | Step | Closure:
    """The next rung: release, take-over below two thirds of maintenance once a step was tried, else a step.

    Always in the market with the largest share of maintenance among those where something can be done.
    """
    if debtor.is_unvalued:
        return Wait()
    if not is_liquidatable(debtor.equity, debtor.maintenance):
        return Release()
    if past.has_stepped and is_taken_over(debtor.equity, debtor.maintenance):
        place = _largest(debtor.held, frozenset())
        return Wait() if place is None else _closure(debtor, place)
    place = _largest(debtor.held, past.tired)
    return Wait() if place is None else _step(debtor, place)


def inventory_step(fund: Debtor, held: Held) -> Step:
    """How the fund sells what it took over in one market: a step at mark x (1 -+ maintenanceMarginRate)."""
    holding = held.holding
    return _order(fund, held, sale_price(holding.spec, holding.mark, held.lots))


def _largest(held: Sequence[Held], tired: frozenset[int]) -> int | None:
    places = [place for place, each in enumerate(held) if each.is_open and each.market_id not in tired]
    return min(places, key=lambda place: (-held[place].maintenance, held[place].market_id), default=None)


def _step(debtor: Debtor, place: int) -> Step:
    held, share = debtor.held[place], debtor.shares[place]
    return _order(debtor, held, limit_price(held.holding.spec, held.lots, share.amount))


def _order(owner: Debtor, held: Held, price: Ticks) -> Step:
    holding = held.holding
    others = [other.holding for other in owner.held if other is not held]
    return Step(
        market_id=held.market_id,
        side=closing_side(held.lots),
        lots=step_lots(holding.spec, holding.mark, held.lots),
        price=price,
        equity_elsewhere=equity_elsewhere(owner.wallet, others),
        leverage=holding.exposure.leverage,
    )


def _closure(debtor: Debtor, place: int) -> Closure:
    held = debtor.held[place]
    return Closure(held.market_id, held.lots, Micros(held.holding.exposure.cost), debtor.shares[place])
