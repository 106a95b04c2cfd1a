"""The dead-man's switch in the engine, by the sentences of docs/semantics.md, "Dead-man's switch". The stories are `rules_4_countdown…`."""

import pytest

from exchange.engine.engine import fail
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from schemas.commands import Command
from schemas.events import CommandFailed, CountdownChanged, Event, OrderEnded
from schemas.market import RULES_FOURTH, MarketStatus
from schemas.orders import CountdownScope, EndReason, OrderStatus
from tests.exchange.builders import (
    ANN,
    BOB,
    BUY,
    CAT,
    Driver,
    buy,
    conditional,
    countdown,
    index,
    rules,
    sell,
    status,
    tick,
)

ALL, SPARING = CountdownScope.ALL, CountdownScope.NON_REDUCE_ONLY
MS = 1_000
DUE = 1 + 5 * MS
"""When a countdown of 5 ms ends that follows a command at 1."""


def driver_with(*commands: Command) -> Driver:
    """A market of rules 4 after these commands."""
    driver = Driver()
    driver.send(rules(RULES_FOURTH, 0), *commands)
    return driver


def ended(events: list[Event]) -> list[tuple[int, EndReason]]:
    """The orders that ended, with their reasons."""
    return [(event.order, event.reason) for event in events if isinstance(event, OrderEnded)]


def resting(market: Market) -> list[int]:
    """The numbers of the resting orders."""
    return sorted(order.order_seq for side in (BUY, BUY.opposite) for order in market.book.walk(side))


def test_a_command_in_the_markets_log_holds_the_deadline() -> None:
    """Set at 7 for 5 ms, it ends at 5,007; the event says so, and the state that is dumped has it."""
    driver = driver_with(tick(7))
    assert driver.send(countdown(ANN, 5, at=7)) == [CountdownChanged(4, 4, 7, ANN, 5_007, ALL)]
    assert load(dump(driver.market)).countdowns.by_user == driver.market.countdowns.by_user


def test_the_countdown_counts_from_the_markets_time() -> None:
    """A sender whose clock is 3 ms behind the market's gets no shorter countdown."""
    driver = driver_with(tick(3 * MS))
    (changed,) = driver.send(countdown(ANN, 5, at=0))
    assert isinstance(changed, CountdownChanged)
    assert changed.deadline == 8 * MS


def test_each_call_replaces_the_timer_of_that_market() -> None:
    """A later end, an earlier one, another scope: only the last call counts."""
    driver = driver_with(buy(ANN, 1, 98), countdown(ANN, 5, at=0), countdown(ANN, 9, at=0), tick(5 * MS))
    assert resting(driver.market) == [3]
    assert ended(driver.send(countdown(ANN, 2, at=5 * MS, scope=SPARING), tick(7 * MS))) == [(3, EndReason.DEAD_MAN)]
    assert driver.market.countdowns.by_user == {}


def test_zero_stops_it() -> None:
    """The event names no end, and nothing ends later."""
    driver = driver_with(buy(ANN, 1, 98), countdown(ANN, 5, at=0))
    assert driver.send(countdown(ANN, 0, at=1))[0] == CountdownChanged(5, 5, 1, ANN, None, ALL)
    assert ended(driver.send(tick(99 * MS))) == []


@pytest.mark.parametrize("late_us", [0, 1, 10**9])
def test_the_first_command_at_or_after_the_deadline_ends_all_the_accounts_orders_before_anything_else(
    late_us: int,
) -> None:
    """Bob's order, which comes then, would have met ann's; it meets nobody."""
    driver = driver_with(sell(ANN, 2, 101), buy(ANN, 1, 98), sell(CAT, 1, 102), countdown(ANN, 5, at=0))
    assert ended(driver.send(tick(DUE - 1))) == []
    events = driver.send(buy(BOB, 2, 101, at=DUE + late_us))
    assert ended(events) == [(3, EndReason.DEAD_MAN), (4, EndReason.DEAD_MAN)]
    assert isinstance(events[0], CountdownChanged)
    assert resting(driver.market) == [5, 8]


def test_an_order_of_the_account_in_that_very_command_lives() -> None:
    """It was placed after the deadline: the timer is gone by then."""
    driver = driver_with(buy(ANN, 1, 98), countdown(ANN, 5, at=0))
    assert ended(driver.send(buy(ANN, 1, 97, at=6 * MS))) == [(3, EndReason.DEAD_MAN)]
    assert resting(driver.market) == [5]


def test_the_reason_is_dead_man() -> None:
    """CANCELLED with what remained."""
    driver = driver_with(sell(ANN, 3, 101), buy(BOB, 1, 101), countdown(ANN, 5, at=0))
    end = driver.send(tick(DUE))[1]
    assert isinstance(end, OrderEnded)
    assert (end.order, end.status, end.reason, end.remaining) == (3, OrderStatus.CANCELLED, EndReason.DEAD_MAN, 2)


def test_non_reduce_only_spares_reduce_only_orders() -> None:
    """Ann's exit rests on; everything else of hers ends."""
    driver = driver_with(sell(BOB, 2, 100), buy(ANN, 2, 100), sell(ANN, 1, 103, reduce_only=True), buy(ANN, 1, 98))
    assert ended(driver.send(countdown(ANN, 5, at=0, scope=SPARING), tick(DUE))) == [(6, EndReason.DEAD_MAN)]
    assert resting(driver.market) == [5]


def test_conditional_ones_are_included_unless_the_scope_spares_reduce_only_ones() -> None:
    """Ann's stop that may open and the one that closes end with her bid; of bob's, with the other scope, only the first."""
    driver = driver_with(sell(CAT, 2, 100), buy(ANN, 1, 100), buy(BOB, 1, 100))
    for user in (ANN, BOB):
        driver.send(conditional(user, BUY, 1, 110), conditional(user, BUY.opposite, 0, 90))
    driver.send(buy(ANN, 1, 98), countdown(ANN, 5), countdown(BOB, 6, scope=SPARING))
    assert ended(driver.send(tick(DUE))) == [(6, EndReason.DEAD_MAN), (7, EndReason.DEAD_MAN), (10, EndReason.DEAD_MAN)]
    assert ended(driver.send(tick(DUE + MS))) == [(8, EndReason.DEAD_MAN)]
    assert list(driver.market.waiting.orders) == [9]


@pytest.mark.parametrize("state", [each for each in MarketStatus if each is not MarketStatus.SETTLED])
def test_it_works_in_every_market_state(state: MarketStatus) -> None:
    """Set before the market changes and after it, it fires in time."""
    driver = driver_with(sell(ANN, 1, 101, post_only=True), sell(BOB, 1, 102, post_only=True), countdown(ANN, 5, at=0))
    driver.send(status(state), countdown(BOB, 5, at=1))
    driver.send(tick(9 * MS))
    assert resting(driver.market) == []
    assert driver.market.countdowns.by_user == {}


def test_it_works_while_the_mark_is_frozen_and_when_the_mark_moves_at_that_moment() -> None:
    """The timer goes first: an order beyond the band after the new mark has ended already."""
    driver = driver_with(sell(ANN, 1, 101), countdown(ANN, 5, at=0))
    assert ended(driver.send(index(120, at=DUE))) == [(3, EndReason.DEAD_MAN)]


def test_the_timer_is_gone_after_it_fired() -> None:
    """An order placed later is nobody's business."""
    driver = driver_with(buy(ANN, 1, 98), countdown(ANN, 5, at=0), tick(6 * MS), buy(ANN, 1, 98, at=6 * MS))
    assert ended(driver.send(tick(99 * MS))) == []
    assert resting(driver.market) == [6]


def test_the_timers_of_a_settled_market_are_gone() -> None:
    """Each is reported, in the order of the users."""
    driver = driver_with(countdown(BOB, 5, at=0), countdown(ANN, 5, at=0))
    events = driver.send(status(MarketStatus.SETTLED))
    assert [event.user for event in events if isinstance(event, CountdownChanged)] == [ANN, BOB]
    assert driver.market.countdowns.by_user == {}


def test_a_market_of_older_rules_keeps_no_timer() -> None:
    """Its state has no place for it; nobody sends it one."""
    driver = Driver()
    driver.send(rules(RULES_FOURTH - 1, 0), buy(ANN, 1, 98), countdown(ANN, 5, at=0))
    assert ended(driver.send(tick(9 * MS))) == []


def test_a_countdown_that_breaks_the_engine_changes_nothing() -> None:
    """Its failure names no order, and the timer of before runs on."""
    driver = driver_with(buy(ANN, 1, 98), countdown(ANN, 5, at=0))
    assert fail(driver.market, 5, countdown(ANN, 0, at=1)) == [CommandFailed(5, 5, 1, 0, ANN)]
    assert ANN in driver.market.countdowns.by_user


def test_a_market_that_is_loaded_ends_the_same_orders() -> None:
    """What it knows of the accounts with timers it learns again from the book."""
    driver = driver_with(buy(ANN, 1, 98), sell(BOB, 1, 101), countdown(ANN, 5, at=0), sell(ANN, 1, 103))
    again = load(dump(driver.market))
    driver.send(countdown(BOB, 5, at=0))
    assert [order.order_seq for order in again.orders_of(ANN)] == [3, 6]
    assert [order.order_seq for order in driver.market.orders_of(ANN)] == [3, 6]
    assert sorted(driver.market.watched.by_user) == [ANN, BOB]
