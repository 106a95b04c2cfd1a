"""Conditional orders in random logs, against rules written down a second time."""

from collections import defaultdict
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.engine.conditional.order import ConditionalOrder, Stage
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from schemas.commands import AmendOrder, Command, PlaceConditional, PlaceOrder
from schemas.events import ConditionalAccepted, Event, OrderAmended, OrderEnded, OrderTriggered, TradeExecuted
from schemas.market import MarketStatus
from schemas.orders import EndReason, OrderType, Side, WorkingType
from schemas.wire import decode_command, encode
from tests.exchange.builders import Driver
from tests.exchange.conditional_courses import course
from tests.exchange.invariants import check_all
from tests.exchange.reference_book import ReferenceBook

SEEDS = st.integers(0, 2**32)
LENGTH = 120
FIRING = (MarketStatus.ACTIVE, MarketStatus.SETTLEMENT_ONLY)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_invariants_hold_after_every_command(seed: int) -> None:
    """Book, money, reduce-only, snapshots, and what waits."""
    driver = Driver()
    for command in course(seed, LENGTH, driver.market):
        driver.send(command)
        check_all(driver)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_log_alone_decides(seed: int) -> None:
    """Loaded from a snapshot after any command, a market answers the rest with the same bytes."""
    driver, reloaded = Driver(), Driver()
    for command in course(seed, LENGTH, driver.market):
        driver.send(command)
        reloaded.market = load(dump(reloaded.market))
        reloaded.send(command)
    assert reloaded.bytes == driver.bytes
    assert dump(reloaded.market) == dump(driver.market)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_obvious_book_and_the_wire_change_nothing(seed: int) -> None:
    """The same commands, read back from their bytes, over the reference book: the same events."""
    driver, obvious = Driver(), Driver()
    obvious.market.book = ReferenceBook()  # type: ignore[assignment]  # the same in all that it does
    for command in course(seed, LENGTH, driver.market):
        driver.send(command)
        obvious.send(decode_command(encode(command)))
    assert obvious.bytes == driver.bytes


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_each_fires_once_and_when_its_condition_holds_on_the_mark(seed: int) -> None:
    """Whatever waits for the mark fires in the first command whose mark reaches its trigger; trailing triggers follow it."""
    driver, watched = Driver(), WatchedMark()
    fired: set[int] = set()
    for command in course(seed, LENGTH, driver.market):
        before = {seq for seq, order in driver.market.waiting.orders.items() if order.stage is Stage.AWAKE}
        events = driver.send(command)
        triggered = {event.order: event for event in events if isinstance(event, OrderTriggered)}
        assert not fired & set(triggered)
        fired |= set(triggered)
        watched.pass_command(driver.market, before, events, triggered)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_an_amended_order_waits_with_its_amended_terms(seed: int) -> None:
    """And an amend that is refused, or is one of an order that is in the book, changes nothing of what waits."""
    driver = Driver()
    for command in course(seed, LENGTH, driver.market):
        before = {seq: _terms(order) for seq, order in driver.market.waiting.orders.items()}
        amended = {event.order: event for event in driver.send(command) if isinstance(event, OrderAmended)}
        if not isinstance(command, AmendOrder):
            continue
        for seq, order in driver.market.waiting.orders.items():
            if order.stage is Stage.TRIGGERED or order.is_trailing:
                continue
            if seq in amended:
                old, event = before[seq], amended[seq]
                price = old.price if command.price is None else command.price
                assert _terms(order) == Terms(command.trigger or old.trigger, price, old.remaining + command.added)
                assert _terms(order) == Terms(event.trigger, event.price, event.remaining)
            else:
                assert _terms(order) == before[seq]


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_one_that_fills_or_fires_ends_the_others_of_its_group(seed: int) -> None:
    """In the same command, and before any of them can trade."""
    driver, members = Driver(), defaultdict[tuple[int, str], set[int]](set)
    for command in course(seed, LENGTH, driver.market):
        events = driver.send(command)
        name = _group(command, len(driver.log))
        doomed: set[int] = set()
        for event in events:
            for seq in _acting(event):
                assert seq not in doomed, f"{seq} acts although another of its group did"
                doomed |= {other for group in members.values() if seq in group for other in group - {seq}}
            if gone := _gone(event):
                doomed -= gone
                for group in members.values():
                    group.difference_update(gone)
            elif name is not None and getattr(event, "order", None) == len(driver.log):
                members[command.user, name].add(len(driver.log))  # type: ignore[union-attr]
        assert not doomed


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_nothing_waits_to_close_a_position_that_is_gone(seed: int) -> None:
    """A position that has become flat or changed its sign takes its reduce-only orders along."""
    driver = Driver()
    for command in course(seed, LENGTH, driver.market):
        waiting = {
            seq: (order.user, order.side)
            for seq, order in driver.market.waiting.orders.items()
            if order.reduce_only and order.stage is not Stage.ASLEEP
        }
        before = {user: position.lots for user, position in driver.market.positions.items()}
        driver.send(command)
        for seq, (user, side) in waiting.items():
            after = driver.market.position_of(user)
            held = before.get(user, 0)
            if held and held * after <= 0 and side.sign * held < 0:
                assert seq not in driver.market.waiting.orders


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_no_leg_outlives_a_parent_that_never_filled(seed: int) -> None:
    """And none that sleeps ends for the position of before."""
    driver = Driver()
    parents: dict[int, int] = {}
    for command in course(seed, LENGTH, driver.market):
        for event in driver.send(command):
            if isinstance(event, ConditionalAccepted) and event.parent:
                parents[event.order] = event.parent
    filled = {seq for event in driver.events for seq in _filled(event)}
    ended = {event.order: event.reason for event in driver.events if isinstance(event, OrderEnded)}
    for leg, parent in parents.items():
        if parent not in filled and parent in ended:
            assert leg in ended
        if ended.get(leg) is EndReason.PARENT_ENDED:
            assert parent in ended


class Terms(NamedTuple):
    """What an amend changes of an order that waits."""

    trigger: object
    price: int
    remaining: int


def _terms(order: ConditionalOrder) -> Terms:
    return Terms(order.trigger, order.price, order.remaining)


class WatchedMark:
    """The marks that each order has seen, and what follows from them."""

    def __init__(self) -> None:
        self.placed: dict[int, ConditionalAccepted] = {}
        self.extremes: dict[int, int] = {}

    def pass_command(
        self, market: Market, before: set[int], events: list[Event], triggered: dict[int, OrderTriggered]
    ) -> None:
        """Compare what one command has fired with what should have fired."""
        accepted = {event.order: event for event in events if isinstance(event, ConditionalAccepted)}
        self.placed |= accepted
        for event in events:
            if isinstance(event, OrderAmended) and event.trigger:
                self.placed[event.order] = replace(self.placed[event.order], trigger=event.trigger)
        awake = before | {seq for seq, event in accepted.items() if not event.parent}
        for seq in sorted(awake):
            order = self.placed[seq]
            if order.working_type is not WorkingType.MARK or market.status not in FIRING:
                continue
            trigger = self._trigger(order, market.mark)
            if seq in triggered:
                assert (triggered[seq].working_price, triggered[seq].trigger) == (market.mark, trigger)
            has_ended = any(isinstance(event, OrderEnded) and event.order == seq for event in events)
            assert has_ended or _holds(order, trigger, market.mark) == (seq in triggered)

    def _trigger(self, order: ConditionalAccepted, mark: int) -> int:
        if order.order_type is not OrderType.TRAILING_STOP_MARKET:
            return order.trigger
        is_sell = order.side is Side.SELL
        if order.order not in self.extremes:
            is_active = not order.activation or (mark >= order.activation if is_sell else mark <= order.activation)
            if not is_active:
                return 0
            self.extremes[order.order] = mark
        seen = self.extremes[order.order]
        extreme = self.extremes[order.order] = max(seen, mark) if is_sell else min(seen, mark)
        distance = extreme * order.callback_rate
        return -((distance - extreme * 10**6) // 10**6) if is_sell else (extreme * 10**6 + distance) // 10**6


def _holds(order: ConditionalAccepted, trigger: int, mark: int) -> bool:
    is_stop = order.order_type not in {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_MARKET}
    if not trigger:
        return False
    return mark >= trigger if is_stop == (order.side is Side.BUY) else mark <= trigger


def _group(command: Command, number: int) -> str | None:
    if isinstance(command, PlaceConditional):
        return f"order:{number + command.parent_after}" if command.parent_after else command.oco_group
    return command.oco_group or None if isinstance(command, PlaceOrder) else None


def _gone(event: Event) -> set[int]:
    if isinstance(event, TradeExecuted):
        return {party.order for party in (event.maker, event.taker) if not party.remaining}
    return {event.order} if isinstance(event, OrderEnded) else set()


def _acting(event: Event) -> list[int]:
    return [event.order] if isinstance(event, OrderTriggered) else _filled(event)


def _filled(event: Event) -> list[int]:
    return [event.maker.order, event.taker.order] if isinstance(event, TradeExecuted) else []
