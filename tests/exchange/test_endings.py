"""How orders may end (docs/semantics.md, "Orders"): every reason goes with one or two states, and every one is reached."""

from hypothesis import given, settings

from exchange.engine.engine import apply, fail
from schemas.commands import Command
from schemas.events import CommandFailed, OrderAccepted, OrderEnded, TradeExecuted
from schemas.market import MarketStatus
from schemas.orders import EndReason, OrderStatus, OrderType, TimeInForce
from tests.exchange.builders import ANN, BOB, Driver, buy, sell, status, tick
from tests.exchange.story import FOLDER, retell
from tests.exchange.streams import logs, long_log

STATES = {
    OrderStatus.REJECTED: {
        EndReason.POST_ONLY_WOULD_TAKE,
        EndReason.REDUCE_ONLY,
        EndReason.MARKET_STATUS,
        EndReason.INTERNAL,
    },
    OrderStatus.EXPIRED: {
        EndReason.IOC_REMAINDER,
        EndReason.FOK_UNFILLABLE,
        EndReason.NO_LIQUIDITY,
        EndReason.PRICE_BAND,
        EndReason.GTD_EXPIRED,
        EndReason.TIMED_OUT,
    },
    OrderStatus.CANCELLED: {
        EndReason.USER,
        EndReason.SELF_TRADE,
        EndReason.REDUCE_ONLY,
        EndReason.PRICE_BAND,
        EndReason.MARKET_STATUS,
        EndReason.MARGIN,
        EndReason.LIQUIDATION,
        EndReason.ADL,
        EndReason.DEAD_MAN,
        EndReason.AMENDED,
        EndReason.POSITION_CLOSED,
        EndReason.OCO,
        EndReason.PARENT_ENDED,
    },
}
"""The states that have a reason, as docs/semantics.md, "Orders", lists them."""
NOT_OF_THE_ENGINE_YET = {
    (OrderStatus.CANCELLED, reason)
    for reason in (EndReason.MARGIN, EndReason.LIQUIDATION, EndReason.ADL, EndReason.DEAD_MAN, EndReason.AMENDED)
}
UNDONE = (OrderStatus.REJECTED, EndReason.INTERNAL)
"""Reported by `command.failed`, not by an end of the order's own."""


def test_every_ending_of_the_specification_has_a_story() -> None:
    """No reason exists on paper alone."""
    shown = {UNDONE} | NOT_OF_THE_ENGINE_YET
    for story in sorted(FOLDER.glob("*.txt")):
        shown |= {(e.status, e.reason) for e in retell(story.read_text())[1].events if isinstance(e, OrderEnded)}
    assert {(state, reason) for state, reasons in STATES.items() for reason in reasons} == shown


@given(logs())
@settings(max_examples=50, deadline=None)
def test_no_order_ends_in_a_way_that_the_specification_does_not_know(commands: list[Command]) -> None:
    """A reason belongs to its state; what is REJECTED was never accepted and never traded."""
    check_endings(commands)


def test_no_order_of_a_long_log_ends_otherwise() -> None:
    """Five thousand commands of thirty users."""
    check_endings(long_log(seed=3, length=5_000))


def check_endings(commands: list[Command]) -> None:
    """Walk through the events."""
    driver = Driver()
    driver.send(*commands)
    accepted, traded = set[int](), set[int]()
    for event in driver.events:
        match event:
            case OrderAccepted():
                accepted.add(event.order)
            case TradeExecuted():
                traded |= {event.maker.order, event.taker.order}
            case OrderEnded():
                assert event.reason in STATES[event.status]
                assert event.status is not OrderStatus.REJECTED or event.order not in accepted | traded
            case _:
                pass


@given(logs())
@settings(max_examples=80, deadline=None)
def test_a_reduce_only_order_never_opens_or_turns_a_position(commands: list[Command]) -> None:
    """After each of its fills the position is smaller, on the same side or flat."""
    driver = Driver()
    driver.send(*commands)
    reducing = {event.order for event in driver.events if isinstance(event, OrderAccepted) and event.reduce_only}
    held: dict[int, int] = {}
    for trade in (event for event in driver.events if isinstance(event, TradeExecuted)):
        for side in (trade.maker, trade.taker):
            before, held[side.user] = held.get(side.user, 0), side.position
            if side.order in reducing:
                assert abs(side.position) == abs(before) - trade.quantity
                assert side.position * before >= 0


def test_a_command_that_broke_the_engine_rejects_the_order_it_created() -> None:
    """INTERNAL, and the next command continues from the market as it was."""
    driver = Driver()
    (event,) = fail(driver.market, 2, buy(ANN, 1, 100))
    assert isinstance(event, CommandFailed)
    assert (event.rejects_order, event.reason) == (True, EndReason.INTERNAL)
    assert len(apply(driver.market, 3, buy(ANN, 1, 100))) == 1
    assert len(driver.market.book) == 1


def test_time_that_does_not_advance_is_not_past() -> None:
    """validUntil is the last moment an order may be read, expiresAt the first at which it is gone."""
    driver = Driver()
    driver.send(tick(50))
    kept, late = (
        driver.send(buy(ANN, 1, 99, at=40, valid_until=50)),
        driver.send(buy(ANN, 1, 99, at=40, valid_until=49)),
    )
    gone = driver.send(buy(ANN, 1, 99, at=40, time_in_force=TimeInForce.GTD, expires_at=50))
    assert [type(event) for event in kept] == [OrderAccepted]
    assert [(e.reason, e.status) for e in (*late, *gone) if isinstance(e, OrderEnded)] == [
        (EndReason.TIMED_OUT, OrderStatus.EXPIRED),
        (EndReason.GTD_EXPIRED, OrderStatus.EXPIRED),
    ]


def test_an_order_expires_at_its_time_by_any_command() -> None:
    """Not the clock's tick alone: an order or a status that carries a later time, before it does anything itself."""
    for bringer in (tick(60), sell(BOB, 1, 99, at=60), status(MarketStatus.HALTED, at=60)):
        driver = Driver()
        driver.send(buy(ANN, 1, 99, at=10, time_in_force=TimeInForce.GTD, expires_at=60))
        first = driver.send(bringer)[0]
        assert isinstance(first, OrderEnded)
        assert (first.order, first.reason) == (2, EndReason.GTD_EXPIRED)


def test_a_halted_market_still_lets_orders_expire() -> None:
    """Cancels and expiries work in every state (docs/semantics.md, "Market states")."""
    driver = Driver()
    driver.send(
        buy(ANN, 1, 99, at=10, time_in_force=TimeInForce.GTD, expires_at=60), status(MarketStatus.HALTED, at=11)
    )
    assert isinstance(driver.send(tick(60))[0], OrderEnded)
    assert len(driver.market.book) == 0


def test_a_market_order_that_is_fill_or_kill_is_killed_as_one() -> None:
    """The time in force decides: nothing trades, the reason is the kill."""
    driver = Driver()
    driver.send(sell(BOB, 1, 100))
    *_, ended = driver.send(buy(ANN, 2, 101, order_type=OrderType.MARKET, time_in_force=TimeInForce.FOK))
    assert isinstance(ended, OrderEnded)
    assert (ended.reason, ended.remaining) == (EndReason.FOK_UNFILLABLE, 2)
    assert driver.market.trade_seq == 0
