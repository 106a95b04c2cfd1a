"""A market whose clock had been wrong goes on from the corrected time (rules version 2)."""

import pytest
from msgspec.structs import replace

from exchange.engine import rules
from exchange.engine.clock import SET_BACK_US
from schemas.events import ClockAdvanced
from schemas.market import RULES_SECOND, MarketStatus
from tests.exchange.builders import ANN, Driver, buy, listed, price, sources, tick

SECOND = 1_000_000
HOUR = 3_600 * SECOND


@pytest.fixture(name="driver")
def market_of_the_rules(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A market with one price, an hour after zero, under the rules that set back."""
    monkeypatch.setattr(rules, "RULES_VERSION", RULES_SECOND)
    driver = Driver(replace(listed(), rules=RULES_SECOND))
    driver.send(sources("x", quorum=1), tick(HOUR), price("x", 100, HOUR))
    return driver


def test_a_tick_sets_the_clock_back(driver: Driver) -> None:
    """After an hour that never was: prices keep their ages, new ones count, seconds and minutes are counted again."""
    driver.send(tick(2 * HOUR), price("x", 101, 2 * HOUR), tick(2 * HOUR + 3 * SECOND))
    driver.send(tick(HOUR + 10 * SECOND))
    assert (driver.market.clock, driver.market.feeds[0].observed_at) == (HOUR + 10 * SECOND, HOUR + 7 * SECOND)
    assert driver.market.status is MarketStatus.ACTIVE
    driver.send(price("x", 102, HOUR + 11 * SECOND))
    assert driver.market.index == 102 * 10**9
    before = len(driver.market.index_minutes)
    driver.send(price("x", 102, HOUR + 59 * SECOND), tick(HOUR + 61 * SECOND))
    assert driver.market.second == (HOUR + 61 * SECOND) // SECOND
    assert len(driver.market.index_minutes) == before + 1


def test_a_settled_interval_is_not_settled_again(driver: Driver) -> None:
    """What the wrong clock has settled is done; the next end is that of the interval after it."""
    driver.send(tick(9 * HOUR))
    ends_at = driver.market.funding.ends_at
    driver.send(tick(7 * HOUR), tick(8 * HOUR + SECOND))
    assert driver.market.funding.ends_at == ends_at == 16 * HOUR


def test_only_a_tick_and_only_a_large_step_set_back(driver: Driver) -> None:
    """A command that waited for its lock is late, and changes no time; nor does a tick of another machine."""
    driver.send(buy(ANN, 1, 100, at=HOUR - 2 * SET_BACK_US), tick(HOUR - SET_BACK_US))
    assert driver.market.clock == HOUR


def test_the_first_rules_never_go_back() -> None:
    """As their logs were written."""
    driver = Driver()
    driver.send(tick(2 * HOUR))
    assert driver.send(tick(HOUR)) == [ClockAdvanced(driver.market.event_seq, 3, HOUR)]
    assert driver.market.clock == 2 * HOUR
