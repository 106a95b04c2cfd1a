"""Commands about conditional orders that break the engine: they are undone, and what depends on them ends."""

from msgspec.structs import replace

from exchange.engine.engine import fail
from exchange.engine.log.snapshot_format import dump, load
from schemas.commands import UserCommand
from schemas.events import CommandFailed, Event, OrderAccepted, OrderEnded
from schemas.orders import EndReason, OrderStatus
from tests.exchange.builders import ANN, BUY, SELL, Driver, activation, buy, conditional, index, rules


def failed(driver: Driver, command: UserCommand) -> list[Event]:
    """The events of the next command, which has failed."""
    driver.log.append(command)
    return fail(driver.market, len(driver.log), command)


def test_legs_end_with_a_parent_that_failed() -> None:
    """Nothing would ever wake them."""
    driver = Driver()
    driver.send(rules(4), conditional(ANN, SELL, 0, 95, parent_after=1))
    events = failed(driver, buy(ANN, 1, 100))
    assert [type(event) for event in events] == [CommandFailed, OrderEnded]
    assert isinstance(events[1], OrderEnded)
    assert (events[1].order, events[1].reason) == (3, EndReason.PARENT_ENDED)
    assert not driver.market.waiting.orders
    assert not list(driver.market.groups)
    assert dump(load(dump(driver.market))) == dump(driver.market)


def test_a_triggered_order_ends_when_its_activation_fails() -> None:
    """Its margin is reserved: it must not wait forever."""
    driver = Driver()
    driver.send(rules(4), conditional(ANN, BUY, 2, 102), index(102))
    events = failed(driver, activation(ANN, 3, 103))
    assert [type(event) for event in events] == [CommandFailed, OrderEnded]
    assert isinstance(events[0], CommandFailed)
    assert isinstance(events[1], OrderEnded)
    assert not events[0].rejects_order
    assert (events[1].order, events[1].status, events[1].reason) == (3, OrderStatus.REJECTED, EndReason.INTERNAL)
    assert not driver.market.waiting.orders


def test_an_order_enters_the_book_with_the_leverage_of_its_activation() -> None:
    """It may have been changed since the order was placed."""
    driver = Driver()
    driver.send(rules(4), conditional(ANN, BUY, 2, 102), index(102))
    events = driver.send(replace(activation(ANN, 3, 103), leverage=3))
    assert [event.leverage for event in events if isinstance(event, OrderAccepted)] == [3]


def test_a_leg_that_failed_leaves_its_parent_alone() -> None:
    """The order is placed without it."""
    driver = Driver()
    driver.send(rules(4))
    failed(driver, conditional(ANN, SELL, 0, 95, parent_after=1))
    driver.send(buy(ANN, 1, 100))
    assert driver.market.book.find(4) is not None
