"""Receipts recomputed: from the decimal strings a receipt says it was decided on, in fractions, with the formulas of
docs/semantics.md, "Liquidation", written down a second time. Nothing of the exchange is imported.

What a receipt's outcome says is compared with the fills of its order.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any, NamedTuple

MICRO = 10**6
FUND = -3
WHOLE_BELOW = 100_000

Inputs = Mapping[str, Any]


class Grid(NamedTuple):
    """A market's tick and lot, in quote and base units."""

    tick: Fraction
    lot: Fraction


class Fill(NamedTuple):
    """One side of a trade: signed base quantity, signed quote amount (what it adds to cost), and who."""

    trade: int
    user: int
    quantity: Fraction
    amount: Fraction


class Step(NamedTuple):
    """A row of `liquidation_steps` as it is stored; `fills` are those of its order, the account's side only."""

    liquidation: int
    step: int
    user: int
    action: str
    market: str | None
    inputs: Inputs
    outcome: Inputs | None
    fills: Sequence[Fill]


def check_receipts(steps: Iterable[Step], grids: Mapping[str, Grid]) -> None:
    """Every step of every account, those of one liquidation in order."""
    stepped: set[int] = set()
    for step in steps:
        try:
            _check(step, grids, has_stepped=step.liquidation in stepped)
        except AssertionError as error:
            raise AssertionError(f"receipt {step.liquidation}/{step.step} {step.action}: {error}\n{step}") from error
        if step.action == "LIQUIDATION":
            stepped.add(step.liquidation)


def _check(step: Step, grids: Mapping[str, Grid], *, has_stepped: bool) -> None:
    inputs = step.inputs
    equity, maintenance = _check_account(inputs)
    match step.action:
        case "MARGIN_CALL":
            assert maintenance > 0
            assert 4 * equity <= 5 * maintenance
        case "CANCEL_ORDERS" if inputs["reason"] == "LIQUIDATION":
            assert maintenance > 0
            assert equity <= maintenance
        case "CANCEL_ORDERS":
            assert equity - _number(inputs["openLoss"]) <= maintenance
        case "LIQUIDATION":
            assert equity <= maintenance
            assert not (has_stepped and 3 * equity < 2 * maintenance)
            _check_order(step, grids, is_sale=False)
        case "FUND_SALE":
            _check_order(step, grids, is_sale=True)
        case "TAKE_OVER":
            assert has_stepped
            assert 3 * equity < 2 * maintenance
            _check_fund_part(step, grids)
        case "ADL":
            assert has_stepped
            assert 3 * equity < 2 * maintenance
            assert _fund_after(inputs) < 0
            _check_ranking(step)
            chosen = {each["user"]: _number(each["closes"]) for each in inputs["ranking"] if each["closes"] != "0"}
            _check_transfers(step, grids, chosen)
        case "FUND_CREDIT":
            assert _number(inputs["wallet"]) < 0
            assert not inputs["positions"]
        case "RELEASE":
            assert maintenance == 0 or equity > maintenance
        case other:
            raise AssertionError(other)


def _check_account(inputs: Inputs) -> tuple[Fraction, Fraction]:
    """Equity, maintenance and what every position would be settled at; the first two."""
    positions = inputs["positions"]
    profit = sum((_value(p) - _number(p["cost"]) for p in positions), Fraction(0))
    equity = _number(inputs["wallet"]) + profit
    parts = [_up(_maintenance(p)) for p in positions]
    assert equity == _number(inputs["equity"]), f"equity {float(equity)}"
    assert sum(parts) == _number(inputs["maintenance"])
    left = equity
    for place, (position, part) in enumerate(zip(positions, parts, strict=True), 1):
        share = left if place == len(positions) else _towards_zero(equity * part / sum(parts))
        left -= share
        assert part == _number(position["maintenance"])
        assert share == _number(position["equityShare"]), f"share {float(share)}"
        assert _value(position) - share == _number(position["bankruptAmount"])
    return equity, sum(parts, Fraction(0))


def _maintenance(position: Inputs) -> Fraction:
    """Each part of the position at the rate of its tier, beyond the last at its rate; without tiers, all at the market's."""
    notional, rate = abs(_value(position)), _number(position["maintenanceMarginRate"])
    kept = below = Fraction(0)
    for tier in position.get("riskTiers", ()):
        rate, up_to = _number(tier["maintenanceMarginRate"]), min(notional, _number(tier["notionalUpTo"]))
        kept, below = kept + (up_to - below) * rate, up_to
    return kept + (notional - below) * rate


def _check_order(step: Step, grids: Mapping[str, Grid], *, is_sale: bool) -> None:
    """Side, size, limit and fee of a step, and that its fills keep to them."""
    order, outcome = step.inputs["step"], step.outcome
    side = 1 if order["side"] == "BUY" else -1
    position, others = _split(step)
    assert step.market is not None
    grid = grids[step.market]
    held, mark = _number(position["quantity"]), _number(position["markPrice"])
    assert held * side < 0
    lots = abs(held) / grid.lot
    wanted = lots if abs(_value(position)) < WHOLE_BELOW else ceil(lots / 5)
    assert _number(order["quantity"]) == wanted * grid.lot, f"quantity {wanted}"
    rate = _number(position["maintenanceMarginRate"])
    bankrupt = mark * (1 + side * rate) if is_sale else _number(position["bankruptAmount"]) / held
    ticks = ceil(bankrupt / grid.tick) if side < 0 else floor(bankrupt / grid.tick)
    limit = max(1, ticks) * grid.tick
    assert _number(order["limitPrice"]) == limit, f"limit {float(limit)}"
    elsewhere = _number(step.inputs["wallet"]) + sum((_value(p) - _number(p["cost"]) for p in others), Fraction(0))
    assert _number(order["equityElsewhere"]) == elsewhere
    assert outcome is not None
    filled = sum((fill.quantity for fill in step.fills), Fraction(0))
    amount = sum((fill.amount for fill in step.fills), Fraction(0))
    assert outcome["quantity"] * grid.lot == abs(filled) <= wanted * grid.lot
    assert Fraction(outcome["notional"], MICRO) == abs(amount)
    assert all(side * fill.amount / fill.quantity <= side * limit for fill in step.fills), "beyond the limit"
    now = outcome["mark"] * grid.tick
    after = elsewhere + (held + filled) * now - _number(position["cost"]) - amount
    fee = min(_up(abs(amount) * _number(order["liquidationFeeRate"])), max(Fraction(0), after))
    assert Fraction(outcome["fee"], MICRO) == (0 if is_sale else fee), f"fee {float(fee)}"


def _split(step: Step) -> tuple[Inputs, list[Inputs]]:
    """The position in the market of the step, and the others."""
    (mine,) = [p for p in step.inputs["positions"] if p["marketId"] == step.market]
    return mine, [p for p in step.inputs["positions"] if p is not mine]


def _check_transfers(step: Step, grids: Mapping[str, Grid], chosen: Mapping[int, Fraction]) -> None:
    """What changed hands: V split by lots cumulatively, truncated; to nobody but those who were chosen, in their order."""
    closure, outcome = step.inputs["closure"], step.outcome
    assert outcome is not None
    assert step.market is not None
    assert not outcome["isStale"]
    position, _ = _split(step)
    held, amount, lot = _number(closure["quantity"]), _number(closure["amount"]), grids[step.market].lot
    assert (held, amount) == (_number(position["quantity"]), _number(position["bankruptAmount"]))
    assert _number(closure["cost"]) == _number(position["cost"])
    got = {transfer["counterparty"]: transfer["quantity"] * lot for transfer in outcome["transfers"]}
    assert got == dict(chosen)
    assert list(got) == list(chosen)
    done, settled = Fraction(0), Fraction(0)
    for transfer in outcome["transfers"]:
        done += transfer["quantity"] * lot
        whole = _towards_zero(amount * done / abs(held))
        assert Fraction(transfer["amount"], MICRO) == whole - settled, f"part {float(whole - settled)}"
        settled = whole
    assert outcome["quantity"] * lot == done <= abs(held)


def _fund_after(inputs: Inputs) -> Fraction:
    """What the fund would have with this position."""
    fund = inputs["fund"]
    profit = sum((_value(p) - _number(p["cost"]) for p in fund["positions"]), Fraction(0))
    assert profit == _number(fund["unrealizedPnl"])
    return _number(fund["wallet"]) + profit + _number(fund["inFlight"]) + _number(inputs["closure"]["equityShare"])


def _check_fund_part(step: Step, grids: Mapping[str, Grid]) -> None:
    """All that the fund can carry, or as many lots as leave it at or above zero: one more would not."""
    inputs = step.inputs
    held = abs(_number(inputs["closure"]["quantity"]))
    part = inputs.get("fundTakes")
    if part is None:
        assert _fund_after(inputs) >= 0 or inputs.get("fundBelowZero")
        _check_transfers(step, grids, {FUND: held})
        return
    assert step.market is not None
    taken, lot = _number(part["quantity"]), grids[step.market].lot
    amount, value = _number(inputs["closure"]["amount"]), _value(_split(step)[0])
    whole = _number(inputs["closure"]["equityShare"])

    def share(quantity: Fraction) -> Fraction:
        return value * quantity / held - _towards_zero(amount * quantity / held)

    assert 0 < taken < held
    assert (share(taken), _towards_zero(amount * taken / held)) == (
        _number(part["equityShare"]),
        _number(part["amount"]),
    )
    without = _fund_after(inputs) - whole
    assert without + share(taken) >= 0 > without + share(taken + lot)
    _check_transfers(step, grids, {FUND: taken})


def _check_ranking(step: Step) -> None:
    """Scores, their order, and that those who could carry their part were chosen, the best first, until all was closed."""
    inputs = step.inputs
    held, amount = _number(inputs["closure"]["quantity"]), _number(inputs["closure"]["amount"])
    mark = _number(_split(step)[0]["markPrice"])
    scores = [_score(each) for each in inputs["ranking"]]
    keys = [(-score, each["openedSeq"], each["user"]) for score, each in zip(scores, inputs["ranking"], strict=True)]
    assert keys == sorted(keys)
    done = Fraction(0)
    for each in inputs["ranking"]:
        assert _number(each["quantity"]) * held < 0
        part = min(abs(_number(each["quantity"])), abs(held) - done)
        settled = _towards_zero(amount * (done + part) / abs(held)) - _towards_zero(amount * done / abs(held))
        worth = mark * part * (1 if held > 0 else -1)
        equity = _number(each["equity"])
        can_carry = part > 0 and equity > 0 and equity + worth - settled >= 0
        assert _number(each["closes"]) == (part if can_carry else 0)
        done += part if can_carry else 0


def _score(each: Inputs) -> Fraction:
    value, cost, bankrupt = (_number(each[name]) for name in ("markValue", "cost", "bankruptAmount"))
    profit = (value - cost) / abs(cost)
    leverage = abs(value) / max(value - bankrupt, Fraction(1, MICRO))
    return profit * leverage if profit > 0 else profit / leverage


def _number(text: str) -> Fraction:
    return Fraction(text)


def _value(position: Inputs) -> Fraction:
    return _number(position["quantity"]) * _number(position["markPrice"])


def _up(amount: Fraction) -> Fraction:
    return Fraction(ceil(amount * MICRO), MICRO)


def _towards_zero(amount: Fraction) -> Fraction:
    return Fraction(int(amount * MICRO), MICRO)
