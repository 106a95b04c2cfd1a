"""The levels that a reader of the events computes, against the engine's own book, after every command."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.engine.engine import fail
from exchange.market_data.book_levels import BookLevels, LevelsContradicted, RestingOrder
from exchange.market_data.depth_view import ChangedLevels, DepthView
from schemas.commands import Command
from schemas.events import Event, OrderAccepted, OrderEnded, OrderShrunk, TradeExecuted
from schemas.market import RULES_SECOND, MarketStatus
from schemas.orders import OrderType, Side, TimeInForce
from tests.exchange.builders import ANN, BOB, BUY, CAT, SELL, Driver, amend, buy, order, rules, sell, status
from tests.exchange.conditional_courses import course
from tests.exchange.story import FOLDER, retell
from tests.exchange.streams import logs, long_log
from tests.exchange.test_forced_actions_properties import any_command as any_forced_command

DEPTHS = (1, 2, 3, 50)


class Client:
    """Holds what a client of the socket holds: the best levels, set by changes alone."""

    def __init__(self, view: DepthView) -> None:
        self.view = view
        whole = view.whole()
        self.bids, self.asks = dict(whole.bids), dict(whole.asks)

    def follow(self, update: ChangedLevels) -> None:
        """Set each changed level; nothing is dropped that is not there, and nothing is set to what it is."""
        for held, levels in ((self.bids, update.bids), (self.asks, update.asks)):
            for price, lots in levels:
                assert held.get(price, 0) != lots
                if lots:
                    held[price] = lots
                else:
                    del held[price]

    def check(self, levels: BookLevels) -> None:
        """Exactly the best levels."""
        depth = self.view.depth
        assert self.bids == dict(levels.sides[BUY].best(depth))
        assert self.asks == dict(levels.sides[SELL].best(depth))


class Reader:
    """A reader of the events of a market, and its clients."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.levels = BookLevels(resting(driver))
        self.clients = [Client(DepthView(self.levels, depth)) for depth in DEPTHS]
        self.check()

    def follow(self, events: Iterable[Event]) -> None:
        """The events of a command, and what must hold after it."""
        for event in events:
            self.levels.apply(event)
        changes = self.levels.take_changes()
        for client in self.clients:
            client.follow(client.view.follow(changes))
        self.check()

    def check(self) -> None:
        """Levels and engine agree; no client differs."""
        for side in Side:
            assert list(self.levels.sides[side].best()) == list(self.driver.market.book.depth(side))
        assert not self.levels.is_crossed
        for client in self.clients:
            client.check(self.levels)


def resting(driver: Driver) -> Iterator[RestingOrder]:
    """What rests in the engine's book, as the tables have it."""
    for side in Side:
        for each in driver.market.book.walk(side):
            yield RestingOrder(each.order_seq, side, each.price, each.remaining)


def follow_all(driver: Driver, commands: Iterable[Command]) -> Reader:
    """Play the commands and follow the events of each."""
    reader = Reader(driver)
    for command in commands:
        reader.follow(driver.send(command))
    return reader


@given(logs())
@settings(max_examples=150, deadline=None)
def test_levels_equal_the_book_after_every_command(commands: list[Command]) -> None:
    """Every kind of order, amends, expiry, timers, self-trades, bands, liquidations, take-overs, halts, tiers, all rules."""
    follow_all(Driver(), commands)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_levels_equal_the_book_among_conditional_orders(seed: int) -> None:
    """What waits, fires, trails, follows a position or is amended; groups, legs, activations, deleveraging."""
    driver = Driver()
    follow_all(driver, course(seed, 120, driver.market))


@pytest.mark.parametrize("seed", range(4))
def test_levels_equal_the_book_among_forced_actions(seed: int) -> None:
    """And among fundings, frozen marks and market ends."""
    dice, driver = random.Random(seed), Driver()  # noqa: S311 - a reproducible log is the point
    driver.send(rules(RULES_SECOND if seed % 2 else 1))
    reader = Reader(driver)
    for number in range(300):
        reader.follow(driver.send(any_forced_command(dice, driver.market, number)))
    reader.follow(driver.send(status(MarketStatus.SETTLEMENT_ONLY, 600_000_000_000)))
    reader.follow(driver.send(status(MarketStatus.SETTLED, 600_000_000_000)))
    assert not reader.levels.sides[BUY].lots
    assert not reader.levels.sides[SELL].lots


@given(logs(), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_reader_begins_anywhere(commands: list[Command], cut: int) -> None:
    """From what rests at one event on, without the events before it."""
    driver = Driver()
    driver.send(*commands[:cut])
    follow_all(driver, commands[cut:])


@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(1, 12), st.integers(0, 2)), max_size=8), max_size=12))
@settings(max_examples=200, deadline=None)
def test_clients_follow_any_change_of_many_levels(rounds: list[list[tuple[bool, int, int]]]) -> None:
    """However many levels come, go and change at once, on either side of the edge of the best ones."""
    levels = BookLevels()
    clients = [Client(DepthView(levels, depth)) for depth in DEPTHS]
    for changes in rounds:
        for is_bid, price, lots in changes:
            side = levels.sides[BUY if is_bid else SELL]
            side.add(price, lots - side.lots.get(price, 0))
        taken = levels.take_changes()
        for client in clients:
            client.follow(client.view.follow(taken))
            client.check(levels)


def test_a_long_log_is_followed() -> None:
    """Three thousand commands of thirty users, over a hundred orders."""
    reader = follow_all(Driver(), long_log(seed=3, length=3_000))
    assert len(reader.driver.market.book) > 100


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_every_story_ends_with_the_same_levels(path: Path) -> None:
    """The events of a story alone give its book."""
    driver, levels = retell(path.read_text())[1], BookLevels()
    for event in driver.events:
        levels.apply(event)
    for side in Side:
        assert list(levels.sides[side].best()) == list(driver.market.book.depth(side))


def test_a_failed_command_changes_no_level() -> None:
    """It was undone: the order that it should place never counted, the one that it should cancel still does."""
    driver = Driver()
    driver.send(buy(ANN, 3, 99))
    reader = Reader(driver)
    reader.follow(fail(driver.market, 3, order(ANN, Side.BUY, 5, 98)))
    assert dict(reader.levels.sides[BUY].lots) == {99: 3}


def test_what_never_rests_changes_nothing() -> None:
    """An IOC that fills nothing, a FOK, a market order without liquidity: accepted and ended, and no level has changed."""
    driver = Driver()
    driver.send(buy(ANN, 3, 99))
    reader = Reader(driver)
    never = [
        order(BOB, SELL, 2, 100, time_in_force=TimeInForce.IOC),
        order(BOB, SELL, 9, 99, time_in_force=TimeInForce.FOK),
        order(BOB, BUY, 2, 101, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC),
    ]
    for command in never:
        events = driver.send(command)
        assert any(isinstance(event, OrderAccepted) for event in events)
        for event in events:
            reader.levels.apply(event)
        assert reader.levels.take_changes() == {BUY: {}, SELL: {}}


def test_an_amend_moves_lots_from_one_level_to_another() -> None:
    """One change at each price; what falls out of the best levels is dropped, what moves up is set."""
    driver = Driver()
    driver.send(rules(4), buy(ANN, 3, 99), buy(ANN, 2, 98), buy(BOB, 1, 97))
    reader = Reader(driver)
    view = DepthView(reader.levels, 2)
    for event in driver.send(amend(ANN, 3, 1, 96)):
        reader.levels.apply(event)
    update = view.follow(reader.levels.take_changes())
    assert update == ChangedLevels(bids=[(99, 0), (97, 1)], asks=[])
    assert view.whole().bids == [(98, 2), (97, 1)]


@pytest.mark.parametrize("kind", [TradeExecuted, OrderEnded, OrderShrunk])
def test_events_of_another_book_are_noticed(kind: type[Event]) -> None:
    """Lots that an order does not have are never taken off it."""
    driver = Driver()
    driver.send(
        rules(RULES_SECOND),
        buy(ANN, 5, 100),
        sell(BOB, 5, 100),
        sell(ANN, 3, 104, reduce_only=True),
        sell(ANN, 3, 103, reduce_only=True),
        order(CAT, BUY, 9, 100, time_in_force=TimeInForce.IOC),
    )
    levels = BookLevels()
    wrong = next(event for event in driver.events if isinstance(event, kind))
    with pytest.raises(LevelsContradicted):  # noqa: PT012 - the events before the wrong one are followed
        for event in driver.events:
            levels.apply(_one_lot_more(event) if event is wrong else event)


def _one_lot_more(event: Event) -> Event:
    match event:
        case TradeExecuted():
            return replace(event, quantity=event.quantity + 1)
        case OrderShrunk():
            return replace(event, by=event.by + 1)
        case _:
            return replace(event, remaining=event.remaining + 1)  # type: ignore[union-attr]
