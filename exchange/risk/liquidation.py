"""Liquidation: when, how much and at what price (docs/semantics.md, "Liquidation").

Every function is a formula of its own, in integers or exact fractions. Values are micros and signed like the position;
lots are signed, prices ticks. The bankruptcy price is never stored: a position is settled at an amount, V there.
"""

from collections.abc import Iterable

import msgspec

from exchange.risk.account import MarginAccount
from exchange.risk.margin import equity, maintenance
from schemas.market import MarketSpec
from schemas.units import PPM, Lots, Micros, Ticks, divide_toward_zero, divide_up

STEP_PARTS = 5
"""A step closes a fifth of what remains, 20 % (Hyperliquid)."""
STEP_WHOLE_BELOW = 100_000 * 10**6
"""Micros of notional at mark below which a step closes everything (Hyperliquid)."""


class BankruptShare(msgspec.Struct, frozen=True, gc=False):
    """A position's share of its account's equity (E), and the amount at which the whole position is settled with it (V)."""

    equity: Micros
    amount: Micros


def is_liquidatable(equity: int, maintenance: int) -> bool:
    """Whether an account with a position is liquidated: equity at mark does not exceed maintenance (BNC)."""
    return maintenance > 0 and equity <= maintenance


def is_warned(equity: int, maintenance: int) -> bool:
    """Whether an account with a position is called for margin: equity at most 1.25 times maintenance."""
    return maintenance > 0 and 4 * equity <= 5 * maintenance


def must_cancel_orders(equity: int, open_loss: int, maintenance: int) -> bool:
    """Whether the losses that live orders would realize could bring the account down to maintenance."""
    return equity - open_loss <= maintenance


def orders_to_cancel(equity: int, maintenance: int, losses: Iterable[tuple[int, int]]) -> list[int]:
    """Which of the live orders (order, open loss) to cancel: largest loss first, until the rest cannot reach maintenance.

    All of them if equity alone does not exceed maintenance.
    """
    ranked = sorted(losses, key=lambda pair: (-pair[1], pair[0]))
    open_loss = sum(loss for _, loss in ranked)
    going: list[int] = []
    for order, loss in ranked:
        if not must_cancel_orders(equity, open_loss, maintenance):
            break
        going.append(order)
        open_loss -= loss
    return going


def step_lots(spec: MarketSpec, mark: int, lots: int) -> Lots:
    """How much of the position one step closes: a fifth, rounded up; everything when it is worth less than 100,000."""
    size = abs(lots)
    return Lots(size if spec.notional(mark, size) < STEP_WHOLE_BELOW else divide_up(size, STEP_PARTS))


def bankrupt_shares(account: MarginAccount) -> list[BankruptShare]:
    """The amount at which each position is settled so that the wallet ends at zero: V = size x mark - E; as `positions`.

    E = equity x maintenance of the position / sum of maintenances, truncated; the last one takes the rest. Settling all of
    them leaves the wallet at exactly zero: wallet + sum of (V - cost) = 0.
    """
    positions = account.positions
    total = left = equity(account)
    kept = [maintenance(risk.market.spec, risk.exposure, risk.market.mark) for risk in positions]
    kept_in_all = sum(kept)
    shares: list[BankruptShare] = []
    for place, (risk, part) in enumerate(zip(positions, kept, strict=True), 1):
        mine = left if place == len(positions) else divide_toward_zero(total * part, kept_in_all)
        left = Micros(left - mine)
        value = risk.market.spec.notional(risk.market.mark, risk.lots)
        shares.append(BankruptShare(Micros(mine), Micros(value - mine)))
    return shares


def limit_price(spec: MarketSpec, lots: int, amount: int) -> Ticks:
    """The limit of a step: the bankruptcy price V / size, rounded to a tick in the account's favour; at least one tick.

    A long sells no lower, a short buys no higher.
    """
    worth = lots * spec.lot_value
    price = divide_up(amount, worth) if lots > 0 else -amount // -worth
    return Ticks(max(1, price))


def sale_price(spec: MarketSpec, mark: int, lots: int) -> Ticks:
    """The limit at which the fund sells its inventory: mark x (1 -+ maintenanceMarginRate of the lowest tier), rounded towards mark."""
    rate = spec.tiers[0].maintenance_margin_rate
    price = divide_up(mark * (PPM - rate), PPM) if lots > 0 else mark * (PPM + rate) // PPM
    return Ticks(max(1, price))


def is_taken_over(equity: int, maintenance: int) -> bool:
    """Whether, after a step, the fund takes the account's positions over: equity below two thirds of maintenance (HL)."""
    return 3 * equity < 2 * maintenance
