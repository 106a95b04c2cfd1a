"""Status, prices and funding that a reader of the events computes, against the engine's own."""

import random

import pytest
from hypothesis import given, settings

from exchange.market_data.market_state import MarketState
from schemas.commands import Command
from schemas.market import MarketStatus
from schemas.units import Timestamp
from tests.exchange.builders import Driver, rules, status
from tests.exchange.streams import logs
from tests.exchange.test_forced_actions_properties import any_command

NOTHING = MarketState(MarketStatus.HALTED, 0, 0, 0, None, None)


def follow(driver: Driver, commands: list[Command]) -> MarketState:
    """Compare after every command; the last state."""
    interval_us = driver.market.spec.funding_interval_us
    state = NOTHING
    for event in driver.events:
        state = state.after(event, interval_us)
    for command in commands:
        for event in driver.send(command):
            state = state.after(event, interval_us)
        check(driver, state)
    return state


def check(driver: Driver, state: MarketState) -> None:
    """The same as in the engine; it keeps no prediction."""
    market = driver.market
    expected = (market.status, market.index, market.mark, market.funding.rate, Timestamp(market.funding.ends_at))
    assert (state.status, state.index_price, state.mark, state.funding_rate, state.next_funding_at) == expected


@given(logs())
@settings(max_examples=100, deadline=None)
def test_the_state_equals_the_engines_after_every_command(commands: list[Command]) -> None:
    """Through fundings, frozen marks, halts and moved indexes."""
    follow(Driver(), commands)


@pytest.mark.parametrize("seed", range(3))
def test_the_state_equals_the_engines_among_forced_actions(seed: int) -> None:
    """Many intervals end; the predicted rate is gone with each."""
    dice, driver = random.Random(seed), Driver()  # noqa: S311 - a reproducible log is the point
    driver.send(rules(2))
    state = NOTHING
    for number in range(120):
        state = follow(driver, [any_command(dice, driver.market, number)])
    assert state.next_funding_at
    state = follow(driver, [status(MarketStatus.HALTED, 300_000_000_000)])
    assert state.status is MarketStatus.HALTED
