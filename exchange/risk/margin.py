"""Cross margin on the worse side (docs/semantics.md, "Margin"): what an account has, and what it must keep.

Everything is computed from a position and the sums over its live orders, never from a hold per order: holds do not
add up. At the mark at which the live orders were accepted no fill and no cancel lowers equity - requirement.
"""

from collections.abc import Iterable

import msgspec

from schemas.market import MarketSpec
from schemas.units import PPM, Micros, Ticks, divide_up


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """One account in one market: signed position (lots, cost in micros), leverage, and the sums over live orders.

    `buy_notional` and `sell_notional` (B and S), `open_loss` and `open_fees` are micros; `buy_lots`, `sell_lots` lots.
    """

    leverage: int
    lots: int = 0
    cost: int = 0
    buy_notional: int = 0
    sell_notional: int = 0
    open_loss: int = 0
    open_fees: int = 0
    buy_lots: int = 0
    sell_lots: int = 0
    live_orders: int = 0


class Holding(msgspec.Struct, frozen=True):
    """An exposure with what values it: the market's rules and its mark (ticks), and whether that mark is frozen."""

    spec: MarketSpec
    mark: Ticks
    exposure: Exposure
    is_frozen: bool = False


def requirement(spec: MarketSpec, exposure: Exposure, mark: int) -> Micros:
    """Initial margin of one market: the worse side at the account's leverage, plus open loss and fees; rounded up."""
    position = spec.notional(mark, exposure.lots)
    worse_side = max(abs(position + exposure.buy_notional), abs(position - exposure.sell_notional))
    # r = max(1 / leverage, initialMarginRate)
    at_leverage = divide_up(worse_side, exposure.leverage)
    at_least = divide_up(worse_side * spec.initial_margin_rate, PPM)
    return Micros(max(at_leverage, at_least) + exposure.open_loss + exposure.open_fees)


def unrealized_pnl(spec: MarketSpec, exposure: Exposure, mark: int) -> Micros:
    """What closing the position at mark would realize; exact."""
    return Micros(spec.notional(mark, exposure.lots) - exposure.cost)


def maintenance(spec: MarketSpec, exposure: Exposure, mark: int) -> Micros:
    """Below this equity the position is liquidated; rounded up."""
    return Micros(divide_up(abs(spec.notional(mark, exposure.lots)) * spec.maintenance_margin_rate, PPM))


def equity(wallet: int, holdings: Iterable[Holding]) -> Micros:
    """Wallet and all unrealized profit and loss at mark."""
    return Micros(wallet + sum(unrealized_pnl(h.spec, h.exposure, h.mark) for h in holdings))


def total_requirement(holdings: Iterable[Holding]) -> Micros:
    """The requirement of an account over all its markets."""
    return Micros(sum(requirement(h.spec, h.exposure, h.mark) for h in holdings))


def requirement_and_equity(wallet: int, holdings: Iterable[Holding]) -> tuple[Micros, Micros]:
    """Both sums in one pass: what an account must keep, and what it has."""
    required, owned = 0, wallet
    for held in holdings:
        required += requirement(held.spec, held.exposure, held.mark)
        owned += unrealized_pnl(held.spec, held.exposure, held.mark)
    return Micros(required), Micros(owned)


def available_margin(wallet: int, holdings: Iterable[Holding]) -> Micros:
    """What new orders may still use: equity above the requirement, never below zero."""
    required, owned = requirement_and_equity(wallet, holdings)
    return Micros(max(0, owned - required))


def withdrawable(wallet: int, holdings: Iterable[Holding]) -> Micros:
    """What may leave the account: unrealized losses count, unrealized profit is never paid out; never below zero.

    Nothing while the account has a position whose mark is frozen.
    """
    held = tuple(holdings)
    if any(h.is_frozen and h.exposure.lots for h in held):
        return Micros(0)
    losses = sum(min(0, unrealized_pnl(h.spec, h.exposure, h.mark)) for h in held)
    return Micros(max(0, wallet + losses - total_requirement(held)))


def liquidation_price(wallet: int, holding: Holding, others: Iterable[Holding]) -> Ticks | None:
    """The mark at which equity meets maintenance, this market alone moving; rounded towards mark.

    None for a flat position, and where no positive price gets there.
    """
    spec, exposure = holding.spec, holding.exposure
    if exposure.lots == 0:
        return None
    held = tuple(others)
    free = equity(wallet, held) - sum(maintenance(h.spec, h.exposure, h.mark) for h in held) - exposure.cost
    slope = spec.lot_value * (abs(exposure.lots) * spec.maintenance_margin_rate - exposure.lots * PPM)
    if slope == 0 or free * slope <= 0:
        return None
    below, rest = divmod(abs(free) * PPM, abs(slope))
    price = below + 1 if rest and below < holding.mark else below
    return Ticks(price) if price > 0 else None
