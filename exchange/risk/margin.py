"""Cross margin on the worse side (docs/semantics.md, "Margin"): an account's equity, and its requirement.

Everything is computed from a position and the sums over its live orders, never from a hold per order: holds do not
add up. At the mark at which the live orders were accepted, no fill and no cancel lowers equity - requirement.
"""

from fractions import Fraction
from itertools import zip_longest
from typing import NamedTuple

from exchange.order_terms import margin_terms, protection_price
from exchange.risk.account import NO_REDUCE_ONLY, NO_WAITING, Exposure, MarginAccount, PositionRisk
from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.units import PPM, Micros, Ticks, divide_up


def initial_margin(spec: MarketSpec, leverage: int, notional: int) -> int:
    """The initial margin of a notional, IM: at the leverage, at least at the market's rate; micros, rounded up.

    With risk tiers each part of the notional is at the leverage, at least at the rate of its tier.
    """
    if spec.risk_tiers:
        return spec.initial_curve(leverage).margin(notional)
    return max(divide_up(notional, leverage), divide_up(notional * spec.initial_margin_rate, PPM))


def requirement(spec: MarketSpec, exposure: Exposure, mark: int) -> Micros:
    """The requirement of one market: initial margin of its worst case, plus open loss and fees.

    The worst case is the position with all orders of one side that are not reduce-only; or, where such orders stand beside
    reduce-only ones of the same side, live or waiting, all of those of both sides filled at their worst prices, and then the
    other orders of that side alone. Without such other orders, what a reduce-only order closes frees more than it costs.
    """
    position, reducing = spec.notional(mark, exposure.lots), exposure.reduce_only
    if reducing is NO_REDUCE_ONLY and (exposure.waiting is NO_WAITING or not exposure.waiting.can_reduce):
        worst = max(abs(position + exposure.buy_notional), abs(position - exposure.sell_notional))
        return Micros(initial_margin(spec, exposure.leverage, worst) + exposure.open_loss + exposure.open_fees)
    leverage = exposure.leverage
    buys = exposure.buy_notional - reducing.buy_notional
    sells = exposure.sell_notional - reducing.sell_notional
    needed = initial_margin(spec, leverage, max(abs(position + buys), abs(position - sells)))
    cost, waiting = reducing.buy_cost + reducing.sell_cost, _waiting(spec, exposure, mark)
    if sells and (reducing.sell_lots or exposure.waiting_lots(Side.SELL)):
        needed = max(needed, initial_margin(spec, leverage, sells) + cost + waiting.cost)
    if buys and (reducing.buy_lots or exposure.waiting_lots(Side.BUY)):
        needed = max(needed, initial_margin(spec, leverage, buys) + cost + waiting.cost)
    return Micros(needed + exposure.open_loss + exposure.open_fees - cost + reducing.excess + waiting.excess)


class _Waiting(NamedTuple):
    """What the waiting reduce-only orders of both sides can cost if they fire at this mark, and what of it no fill frees."""

    cost: int
    excess: int


def _waiting(spec: MarketSpec, exposure: Exposure, mark: int) -> _Waiting:
    if not exposure.waiting.can_reduce:
        return _Waiting(0, 0)
    freed = mark * spec.lot_value * spec.initial_margin_rate // PPM
    cost = excess = 0
    for side in Side:
        lots, per_lot = exposure.waiting_lots(side), waiting_cost_per_lot(spec, mark, side)
        cost += lots * per_lot
        excess += min(lots, exposure.closable_later(side)) * max(0, per_lot - freed)
    return _Waiting(cost, excess)


def waiting_cost_per_lot(spec: MarketSpec, mark: int, side: Side) -> int:
    """The most that a lot of a reduce-only order costs which fires at this mark: loss and fee at the protection price."""
    price = protection_price(mark, side, spec.take_bound)
    terms = margin_terms(spec, mark, side, price, post_only=False)
    return terms.loss_per_lot + terms.fee_per_lot


def unrealized_pnl(spec: MarketSpec, exposure: Exposure, mark: int) -> Micros:
    """The profit that closing the position at mark would realize; exact."""
    return Micros(spec.notional(mark, exposure.lots) - exposure.cost)


def maintenance(spec: MarketSpec, exposure: Exposure, mark: int) -> Micros:
    """The maintenance margin of a position; rounded up. An account whose equity does not exceed the sum is liquidated.

    With risk tiers each part of the position is at the rate of its tier.
    """
    notional = abs(spec.notional(mark, exposure.lots))
    if spec.risk_tiers:
        return Micros(spec.maintenance_curve.margin(notional))
    return Micros(divide_up(notional * spec.maintenance_margin_rate, PPM))


def equity(account: MarginAccount) -> Micros:
    """Wallet and all unrealized profit and loss at mark."""
    profits = (unrealized_pnl(r.market.spec, r.exposure, r.market.mark) for r in account.exposures.values())
    return Micros(account.wallet + sum(profits))


def total_maintenance(account: MarginAccount) -> Micros:
    """Maintenance over all positions."""
    return Micros(sum(maintenance(r.market.spec, r.exposure, r.market.mark) for r in account.exposures.values()))


def total_requirement(account: MarginAccount) -> Micros:
    """The requirement of an account over all its markets."""
    return Micros(sum(requirement(r.market.spec, r.exposure, r.market.mark) for r in account.exposures.values()))


def requirement_and_equity(account: MarginAccount) -> tuple[Micros, Micros]:
    """Both sums in one pass: the requirement of an account, and its equity."""
    required, owned = 0, int(account.wallet)
    for risk in account.exposures.values():
        market = risk.market
        required += requirement(market.spec, risk.exposure, market.mark)
        owned += unrealized_pnl(market.spec, risk.exposure, market.mark)
    return Micros(required), Micros(owned)


def order_costs(account: MarginAccount) -> int:
    """The most that filling all orders of an account can cost at once, losses and fees of all markets; micros.

    Of waiting orders those that only reduce: together they close no more than the position and the other side's live orders.
    """
    return sum(
        risk.exposure.open_loss + risk.exposure.open_fees + _most_of_waiting(risk)
        for risk in account.exposures.values()
    )


def _most_of_waiting(risk: PositionRisk) -> int:
    exposure, spec, mark = risk.exposure, risk.market.spec, risk.market.mark
    if not exposure.waiting.can_reduce:
        return 0
    return sum(
        min(exposure.waiting_lots(side), exposure.closable_later(side)) * waiting_cost_per_lot(spec, mark, side)
        for side in Side
    )


def available_margin(account: MarginAccount) -> Micros:
    """The margin available to new orders: equity above the requirement, never below zero."""
    required, owned = requirement_and_equity(account)
    return Micros(max(0, owned - required))


def withdrawable(account: MarginAccount) -> Micros:
    """The amount that may be withdrawn: unrealized losses count, unrealized profit is never paid out; never below zero.

    Zero while the account is frozen, is being liquidated or has a position whose mark is frozen.
    """
    return Micros(0) if account.is_frozen else free_of_margin(account)


def free_of_margin(account: MarginAccount) -> Micros:
    """The amount that could be taken out without touching what margin needs, whether or not an operator has frozen the account."""
    if account.is_bound_by_margin:
        return Micros(0)
    risks = account.exposures.values()
    losses = sum(min(0, unrealized_pnl(r.market.spec, r.exposure, r.market.mark)) for r in risks)
    return Micros(max(0, account.wallet + losses - total_requirement(account)))


def liquidation_price(account: MarginAccount, market: str) -> Ticks | None:
    """The mark of a market at which equity equals maintenance if only this market moves; rounded towards mark.

    None for a flat position, or if no positive price gets there.
    """
    risk = account.exposures[market]
    spec, exposure, mark = risk.market.spec, risk.exposure, risk.market.mark
    if exposure.lots == 0:
        return None
    others = account.without(market)
    free = equity(others) - total_maintenance(others) - exposure.cost
    notional = _notional_at_maintenance(spec, free, 1 if exposure.lots > 0 else -1)
    if notional is None:
        return None
    below, rest = divmod(notional.numerator, notional.denominator * abs(exposure.lots) * spec.lot_value)
    price = below + 1 if rest and below < mark else below
    return Ticks(price) if price > 0 else None


def _notional_at_maintenance(spec: MarketSpec, free: int, sign: int) -> Fraction | None:
    """The notional above 0 at which free + sign x notional is its maintenance margin: in the tier in which it lies; None if none.

    There is at most one, because the difference only grows with the notional, or only falls.
    """
    unit, steps = spec.maintenance_curve
    for step, following in zip_longest(steps, steps[1:]):
        slope = sign * unit - step.rate
        if slope == 0:
            continue
        notional = Fraction(step.base - step.above * step.rate - free * unit, slope)
        if step.above <= notional and notional > 0 and (following is None or notional <= following.above):
            return notional
    return None
