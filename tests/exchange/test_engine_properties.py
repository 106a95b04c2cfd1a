"""What holds for every log: the invariants, replay, snapshots, and that the fast book changes nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.engine.log.journal import answer_command
from exchange.engine.log.snapshot_format import dump, load, state_hash
from exchange.engine.market import Market, empty_market
from schemas.commands import Command, Liquidate, PlaceOrder
from schemas.events import Event, OrderAccepted, OrderAmended, OrderEnded, OrderShrunk, TradeExecuted
from schemas.orders import OrderType, Side, TimeInForce
from schemas.wire import decode_command, encode
from tests.exchange.builders import Driver, listed
from tests.exchange.invariants import check_all
from tests.exchange.reference_book import ReferenceBook
from tests.exchange.streams import logs, long_log


def play(commands: list[Command]) -> Driver:
    """The market after these commands."""
    driver = Driver()
    driver.send(*commands)
    return driver


def continue_writing(market: Market, commands: list[Command]) -> list[bytes]:
    """The events of further commands, as bytes, from the market's current state."""
    start = market.command_seq + 1
    return [line.body for seq, command in enumerate(commands, start) for line in answer_command(market, seq, command)]


@given(logs())
@settings(max_examples=150, deadline=None)
def test_the_invariants_hold_after_every_command(commands: list[Command]) -> None:
    """Not crossed, sizes sum to zero, money exact, reduce-only within the position, snapshot faithful."""
    driver = Driver()
    for command in commands:
        assert driver.send(command)
        check_all(driver)


@given(logs())
@settings(max_examples=100, deadline=None)
def test_the_obvious_book_gives_the_same_events(commands: list[Command]) -> None:
    """The whole engine over the reference book writes the same bytes."""
    fast, obvious = Driver(), Driver()
    obvious.market.book = ReferenceBook()  # type: ignore[assignment]  # the same in all that it does
    fast.send(*commands)
    obvious.send(*commands)
    assert fast.bytes == obvious.bytes


@given(logs())
@settings(max_examples=100, deadline=None)
def test_replaying_the_log_gives_the_same_bytes(commands: list[Command]) -> None:
    """Read back from the wire, the same commands lead to the same events and the same state."""
    driver = play(commands)
    again = play([decode_command(encode(command)) for command in commands])
    assert again.bytes == driver.bytes
    assert state_hash(dump(again.market)) == state_hash(dump(driver.market))


@given(logs(), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_going_on_from_a_snapshot_changes_nothing(commands: list[Command], cut: int) -> None:
    """Wherever the market is dumped and loaded, what follows has the same bytes and ends in the same state."""
    market = empty_market("TEA-PERP")
    continue_writing(market, [listed(), *commands[:cut]])
    loaded = load(dump(market))
    assert continue_writing(loaded, commands[cut:]) == continue_writing(market, commands[cut:])
    assert dump(loaded) == dump(market)


@given(logs())
@settings(max_examples=100, deadline=None)
def test_every_lot_of_an_order_is_accounted_for(commands: list[Command]) -> None:
    """Quantity + lots added = filled + cut + released at the end, or + what still rests; no order ends twice."""
    driver = play(commands)
    left: dict[int, int] = {
        seq: c.quantity for seq, c in enumerate(driver.log, 1) if isinstance(c, PlaceOrder | Liquidate)
    }
    ended: set[int] = set()
    for event in driver.events:
        for order, lots, ends in _releases(event):
            assert order not in ended
            left[order] -= lots
            assert not ends or left[order] == 0
            ended |= {order} if ends else set()
    resting = {order.order_seq: order.remaining for side in Side for order in driver.market.book.walk(side)}
    assert {order: lots for order, lots in left.items() if lots} == resting


def _releases(event: Event) -> list[tuple[int, int, bool]]:
    """Order, lots it lost by the event, and whether that was its end."""
    match event:
        case TradeExecuted():
            return [(side.order, event.quantity, side.remaining == 0) for side in (event.maker, event.taker)]
        case OrderEnded():
            return [(event.order, event.remaining, True)]
        case OrderShrunk():
            return [(event.order, event.by, False)]
        case OrderAmended():
            return [(event.order, -event.added, False)]
        case _:
            return []


@given(logs())
@settings(max_examples=150, deadline=None)
def test_time_in_force_is_kept(commands: list[Command]) -> None:
    """FOK trades all or nothing, IOC and market orders never rest, no trade is worse than the limit or with oneself."""
    driver = play(commands)
    terms = {event.order: event for event in driver.events if isinstance(event, OrderAccepted)}
    limits = {number: event.price for number, event in terms.items()}
    traded: dict[int, int] = {}
    for event in driver.events:
        if isinstance(event, OrderAmended):
            limits[event.order] = event.price
        if isinstance(event, TradeExecuted):
            assert event.maker.user != event.taker.user
            for side in (event.maker, event.taker):
                assert terms[side.order].side.sign * (limits[side.order] - event.price) >= 0
                traded[side.order] = traded.get(side.order, 0) + event.quantity
    for number, order in terms.items():
        if order.time_in_force is TimeInForce.FOK:
            assert traded.get(number, 0) in {0, order.quantity}
        if order.order_type is OrderType.MARKET or order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}:
            assert driver.market.book.find(number) is None


def test_a_long_log_keeps_the_invariants() -> None:
    """Five thousand commands of thirty users."""
    driver = play(long_log(seed=1, length=5_000))
    check_all(driver)
    assert driver.market.trade_seq > 1_000
    assert len(driver.market.book) > 100
