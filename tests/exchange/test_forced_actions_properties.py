"""Random trading with forced actions in between: every action conserves sizes and money."""

import random
from typing import Any

import pytest

from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from schemas.commands import Command
from schemas.events import PositionTransferred
from schemas.market import RULES_FIRST, RULES_SECOND
from schemas.orders import FillCause, Side
from tests.exchange.builders import (
    USDC,
    Driver,
    deleveraging,
    index,
    liquidation,
    order,
    price,
    rules,
    sources,
    take_over,
    tick,
)
from tests.exchange.invariants import check_money, check_reduce_only

USERS = range(1, 9)
STEPS = 400


@pytest.mark.parametrize("seed", range(8))
def test_no_forced_action_makes_or_loses_anything(seed: int) -> None:
    """Orders, liquidations, take-overs, deleveragings and fundings in any order; a copy goes the same way."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible log is the point
    driver, twin = Driver(), Driver()
    for each in (driver, twin):
        each.send(rules(RULES_SECOND if seed % 2 else RULES_FIRST))
    for number in range(STEPS):
        command = any_command(dice, driver.market, number)
        driver.send(command)
        if dice.random() < 0.05:
            twin.market = load(dump(twin.market))
        twin.send(command)
        check_money(driver.market, driver.events)
        check_reduce_only(driver.market)
    assert (_parts_taken(driver) > 0) == (driver.market.rules == RULES_SECOND)
    assert driver.bytes == twin.bytes
    assert dump(driver.market) == dump(twin.market)


def _parts_taken(driver: Driver) -> int:
    """How often the fund took only a part of a position."""
    moves = (event for event in driver.events if isinstance(event, PositionTransferred))
    return sum(move.cause is FillCause.TAKE_OVER and move.bankrupt.position != 0 for move in moves)


def any_command(dice: random.Random, market: Market, number: int) -> Command:
    """An order, a price, time that passes, or a forced action on one of the positions."""
    at = number * 1_700_000_000  # every ten or so commands an interval ends
    kind = dice.random()
    if kind < 0.1:
        return tick(at)
    if kind < 0.15:
        return index(dice.randint(90, 110), at)
    if kind < 0.18:
        return sources("x", quorum=dice.randint(0, 1), max_age_ms=600_000, at=at)
    if kind < 0.25:
        return price("x", dice.randint(90, 110), at)
    if kind < 0.4 and market.positions:
        return _forced(dice, market)
    side, limit = dice.choice(list(Side)), dice.randint(92, 108)
    options: dict[str, Any] = {"reduce_only": True} if dice.random() < 0.2 else {}
    return order(dice.choice(USERS), side, dice.randint(1, 30), limit, at=at, loss_per_lot=30 * USDC, **options)


def _forced(dice: random.Random, market: Market) -> Command:
    user = dice.choice(sorted(market.positions))
    position = market.positions[user]
    cost, amount = position.cost // USDC, position.cost // USDC + dice.randint(-50, 50)
    is_stale = dice.random() < 0.1
    named = (user, position.lots + is_stale, cost, amount)
    match dice.randrange(3):
        case 0:
            closing = Side.SELL if position.lots > 0 else Side.BUY
            return liquidation(user, closing, dice.randint(1, 40), dice.randint(80, 120), dice.randint(-10, 200))
        case 1:
            return take_over(*named, part=dice.choice((0, dice.randint(1, abs(position.lots) + 2))))
        case _:
            others = [other for other in sorted(market.positions) if other > 0]
            return deleveraging(*named, *((other, dice.randint(1, 20)) for other in dice.sample(others, len(others))))
