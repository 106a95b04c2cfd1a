"""The steps of a liquidation (docs/semantics.md, "Liquidation"): the next action for an account, from its current state.

Pure: nothing is remembered except what the receipts record, so a successor after a crash decides the same.
"""

from collections.abc import Sequence

import msgspec

from exchange.position import closing_side
from exchange.risk.account import MarginAccount, PositionRisk
from exchange.risk.liquidation import (
    BankruptShare,
    bankrupt_shares,
    is_liquidatable,
    is_taken_over,
    limit_price,
    sale_price,
    step_lots,
)
from exchange.risk.margin import equity, maintenance, total_maintenance
from schemas.orders import Side
from schemas.units import Lots, Micros, Ticks


class Past(msgspec.Struct, frozen=True):
    """The history of this liquidation: whether a step has ended, and the markets whose last step filled nothing."""

    has_stepped: bool = False
    tired: frozenset[int] = frozenset()


class Wait(msgspec.Struct, frozen=True):
    """Nothing can be done now."""


class Release(msgspec.Struct, frozen=True):
    """The account is above maintenance again, or has no positions left."""


class Step(msgspec.Struct, frozen=True):
    """A reduce-only IOC order; `equity_elsewhere` bounds its fee."""

    market_id: int
    side: Side
    lots: Lots
    price: Ticks
    equity_elsewhere: Micros
    leverage: int


class BankruptcyTransfer(msgspec.Struct, frozen=True):
    """The whole position of signed `lots` and `cost` is transferred at `share.amount`, to the fund or to the other side."""

    market_id: int
    lots: int
    cost: Micros
    share: BankruptShare


def next_action(account: MarginAccount, past: Past) -> Wait | Release | Step | BankruptcyTransfer:
    """The next action: release, take-over below two thirds of maintenance once a step was tried, else a step.

    Always in the market with the largest share of maintenance among those where an action is possible.
    """
    if account.is_unvalued:
        return Wait()
    owned, kept = equity(account), total_maintenance(account)
    if not is_liquidatable(owned, kept):
        return Release()
    positions = account.positions
    if past.has_stepped and is_taken_over(owned, kept):
        place = _largest(positions, frozenset())
        return Wait() if place is None else _transfer(positions[place], bankrupt_shares(account)[place])
    place = _largest(positions, past.tired)
    return Wait() if place is None else _step(account, positions[place], bankrupt_shares(account)[place])


def inventory_step(fund: MarginAccount, risk: PositionRisk) -> Step:
    """The order by which the fund sells its inventory in one market: a step at mark x (1 -+ maintenanceMarginRate)."""
    return _order(fund, risk, sale_price(risk.market.spec, risk.market.mark, risk.lots))


def _largest(positions: Sequence[PositionRisk], tired: frozenset[int]) -> int | None:
    places = [
        place for place, risk in enumerate(positions) if risk.market.is_matching and risk.market.market_id not in tired
    ]
    return min(places, key=lambda place: _rank(positions[place]), default=None)


def _rank(risk: PositionRisk) -> tuple[int, int]:
    return -maintenance(risk.market.spec, risk.exposure, risk.market.mark), risk.market.market_id


def _step(account: MarginAccount, risk: PositionRisk, share: BankruptShare) -> Step:
    return _order(account, risk, limit_price(risk.market.spec, risk.lots, share.amount))


def _order(owner: MarginAccount, risk: PositionRisk, price: Ticks) -> Step:
    market = risk.market
    return Step(
        market_id=market.market_id,
        side=closing_side(risk.lots),
        lots=step_lots(market.spec, market.mark, risk.lots),
        price=price,
        equity_elsewhere=equity(owner.without(market.spec.market)),
        leverage=risk.exposure.leverage,
    )


def _transfer(risk: PositionRisk, share: BankruptShare) -> BankruptcyTransfer:
    return BankruptcyTransfer(risk.market.market_id, risk.lots, Micros(risk.exposure.cost), share)
