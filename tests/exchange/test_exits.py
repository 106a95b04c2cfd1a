"""Exits on the market that people trade, by rules 2: a gap takes none away, and an order that fills nothing costs none."""

import pytest
from msgspec.structs import replace

from exchange.engine.log.replay import Replay
from exchange.engine.market import empty_market
from exchange.engine.prices.resting_band import is_beyond_resting_band
from schemas.commands import PlaceOrder, SetIndex
from schemas.events import Event, OrderAmended, OrderEnded, OrderShrunk, TradeExecuted
from schemas.market import RULES_FIRST, RULES_SECOND, SEED_MARKETS
from schemas.orders import AmendCause, EndReason, OrderType, Side, TimeInForce
from schemas.units import Lots, Micros, Nanos, Ticks, Timestamp
from schemas.wire import encode
from tests.exchange.builders import ANN, BOB, CAT, SELL, Driver, listed, order
from tests.exchange.invariants import check_all

TAKE_PROFIT = 610_000
LONG = 100
"""Lots: 0.1 bitcoin."""


def exit_order(price: int, **options: object) -> PlaceOrder:
    """Bob's reduce-only SELL of 0.1; no loss is recorded at mark 60,000 unless it says so."""
    terms = {"reduce_only": True, "loss_per_lot": 0} | options
    return order(BOB, SELL, LONG, price, **terms)


def index(usdc: int) -> SetIndex:
    """The index jumps."""
    return SetIndex(Timestamp(1), Nanos(usdc * 10**9))


def long_bob(rules: int) -> Driver:
    """Bob is long 0.1 from 60,000, his take-profit (order 4) rests at 61,000, the best bid of 0.2 at 59,900."""
    driver = Driver(replace(listed(SEED_MARKETS[0]), rules=rules))
    driver.send(order(ANN, SELL, LONG, 600_000, loss_per_lot=0), order(BOB, Side.BUY, LONG, 600_000, loss_per_lot=0))
    driver.send(exit_order(TAKE_PROFIT), order(CAT, Side.BUY, 200, 599_000, loss_per_lot=0))
    return driver


def ends(events: list[Event]) -> list[tuple[int, EndReason]]:
    """Which orders ended, and why."""
    return [(event.order, event.reason) for event in events if isinstance(event, OrderEnded)]


def test_a_gap_moves_a_take_profit_to_the_edge_of_the_band_and_it_fills_there() -> None:
    """The index jumps to 62,600: 62,600 x (1 - 0.025) = 61,035, and the next bid above pays at least that."""
    driver = long_bob(RULES_SECOND)
    _, amended = driver.send(index(62_600))
    assert amended == OrderAmended(
        seq=amended.seq,
        command=6,
        at=Timestamp(1),
        order=4,
        user=BOB,
        price=Ticks(610_350),
        remaining=Lots(LONG),
        added=0,
        cause=AmendCause.PRICE_BAND,
        keeps_place=False,
    )
    check_all(driver)
    driver.send(order(CAT, Side.BUY, LONG, 625_000, loss_per_lot=0))
    trade = driver.events[-1]
    assert isinstance(trade, TradeExecuted)
    assert (trade.price, trade.maker.position) == (610_350, 0)


def test_the_first_rules_cancel_it() -> None:
    """What a market does until it is moved on."""
    assert ends(long_bob(RULES_FIRST).send(index(62_600))) == [(4, EndReason.PRICE_BAND)]


@pytest.mark.parametrize("moves", [(62_600, 63_900, 66_000), (70_000, 62_000, 75_000)])
def test_the_edge_is_the_worst_price_within_the_band(moves: tuple[int, ...]) -> None:
    """After every gap the order is within the band, a tick worse it would be beyond, and it never moves back."""
    driver, before = long_bob(RULES_SECOND), TAKE_PROFIT
    for usdc in moves:
        moved = [event for event in driver.send(index(usdc)) if isinstance(event, OrderAmended)]
        resting = driver.market.book.find(4)
        assert resting is not None
        assert not is_beyond_resting_band(driver.market, resting)
        assert resting.price >= before
        if moved:
            worse = replace(resting, price=Ticks(resting.price - 1), level=None, prev=None, next=None)
            assert is_beyond_resting_band(driver.market, worse)
        before = resting.price
        check_all(driver)


def test_the_edge_counts_the_loss_that_was_recorded() -> None:
    """SELL at 59,500 with 500 recorded: at 62,600 it may lose 1,565 + 500, so it moves to 60,535."""
    driver = long_bob(RULES_SECOND)
    driver.send(exit_order(606_000, time_in_force=TimeInForce.GTC, loss_per_lot=Micros(500_000)))
    amended = [event for event in driver.send(index(63_500)) if isinstance(event, OrderAmended)]
    (moved,) = [event for event in amended if event.order == 6]
    assert moved.price == 635_000 - 15_875 - 5_000


def test_a_replay_leaves_the_order_at_its_present_price() -> None:
    """What `verify` compares the table of orders with."""
    driver = long_bob(RULES_SECOND)
    driver.send(index(62_600))
    replay = Replay(empty_market(SEED_MARKETS[0].market), driver.market.event_seq)
    for seq, command in enumerate(driver.log, 1):
        replay.apply(seq, encode(command))
    assert (replay.live[4].price, replay.live[4].remaining) == (610_350, LONG)


NOTHING_TO_FILL = {
    "IOC": {"time_in_force": TimeInForce.IOC},
    "FOK": {"time_in_force": TimeInForce.FOK},
    "MARKET": {"order_type": OrderType.MARKET},
}


@pytest.mark.parametrize("kind", NOTHING_TO_FILL)
def test_an_exit_that_fills_nothing_leaves_the_take_profit(kind: str) -> None:
    """SELL 0.1 at 60,500 against a best bid of 59,900 ends; the first rules cancelled the take-profit before it matched."""
    driver = long_bob(RULES_SECOND)
    ended = ends(driver.send(exit_order(605_000, **NOTHING_TO_FILL[kind])))
    assert [number for number, _ in ended] == [6]
    assert driver.market.book.find(4) is not None
    check_all(driver)
    if kind != "FOK":  # the first rules too asked a FOK first whether it can be filled
        assert (4, EndReason.REDUCE_ONLY) in ends(
            long_bob(RULES_FIRST).send(exit_order(605_000, **NOTHING_TO_FILL[kind]))
        )


def test_an_arriving_exit_is_cut_to_the_position_not_to_what_others_leave() -> None:
    """SELL 0.15 IOC beside a take-profit for all of it: 0.05 is cut, 0.1 fills, and with it the take-profit ends."""
    driver = long_bob(RULES_SECOND)
    events = driver.send(
        order(BOB, SELL, 150, 599_000, reduce_only=True, time_in_force=TimeInForce.IOC, loss_per_lot=0)
    )
    shrunk, trade, ended = events[1:]
    assert isinstance(shrunk, OrderShrunk)
    assert isinstance(trade, TradeExecuted)
    assert (shrunk.order, shrunk.by, trade.quantity, trade.taker.position) == (6, 50, 100, 0)
    assert ends([ended]) == [(4, EndReason.REDUCE_ONLY)]
    check_all(driver)


def test_a_market_exit_in_flight_when_the_gap_comes_takes_the_edge() -> None:
    """Protected at 59,400 with 600 recorded, it arrives at mark 65,000: it may lose 1,625 + 600 and sells at 62,775 or better."""
    driver = long_bob(RULES_SECOND)
    driver.send(index(65_000), order(CAT, Side.BUY, LONG, 640_000, loss_per_lot=0))
    taken = [event.taker for event in driver.events if isinstance(event, TradeExecuted)]
    assert taken[-1].user == CAT  # the take-profit, moved to 63,375, was met first
    driver = long_bob(RULES_SECOND)
    events = driver.send(
        index(65_000),
        exit_order(594_000, order_type=OrderType.MARKET, loss_per_lot=Micros(600_000)),
    )
    (moved,) = [event for event in events if isinstance(event, OrderAmended)]
    assert (moved.order, moved.price) == (7, 650_000 - 16_250 - 6_000)
    assert ends(events) == [(7, EndReason.PRICE_BAND)]
    assert driver.market.book.find(4) is not None
