"""A gap: the mark falls by 12 % in one command, with a thin book, and the stops of 100 accounts fire."""

from exchange.engine.log.snapshot_format import dump
from schemas.events import OrderEnded, OrderTriggered, TradeExecuted
from schemas.orders import EndReason, OrderType
from tests.exchange.builders import BUY, SELL, Driver, buy, conditional, index, rules, sell, tick
from tests.exchange.invariants import check_all

ACCOUNTS = range(10, 110)
MAKER, BUYER = 1, 2
SECOND = 1_000_000


def bracketed_longs() -> Driver:
    """Every account is long 2 from 100 with a take-profit and a stop attached; the bids below are thin."""
    driver = Driver()
    driver.send(rules(4), sell(MAKER, 2 * len(ACCOUNTS), 100))
    for user in ACCOUNTS:
        driver.send(
            conditional(user, SELL, 0, 110, order_type=OrderType.TAKE_PROFIT_MARKET, parent_after=2),
            conditional(user, SELL, 0, 96, parent_after=1),
            buy(user, 2, 100),
        )
    for price in range(84, 90):
        driver.send(buy(BUYER, 5, price))
    return driver


def test_stops_fill_what_there_is_and_the_rest_ends_with_the_positions() -> None:
    """12 % in one command: what is within the bound trades at once, oldest stop first; each second tries the rest again."""
    driver = bracketed_longs()
    events = driver.send(index(88))
    check_all(driver)
    triggered = [event.order for event in events if isinstance(event, OrderTriggered)]
    assert len(triggered) == len(ACCOUNTS)
    assert triggered == sorted(triggered)
    trades = [event for event in events if isinstance(event, TradeExecuted)]
    assert sum(trade.quantity for trade in trades) == 10  # the bids at 89 and 88; 87 is beyond the bound
    assert [trade.taker.user for trade in trades][:2] == [ACCOUNTS[0], ACCOUNTS[1]]
    seconds = 0
    while driver.market.waiting.orders:
        seconds += 1
        driver.send(buy(BUYER, 10, 88, at=seconds * SECOND), tick(seconds * SECOND + 1))
        check_all(driver)
    assert seconds == 19  # 190 lots, ten a second
    assert {user: position.lots for user, position in driver.market.positions.items()} == {MAKER: -200, BUYER: 200}


def test_no_leg_is_an_orphan_after_the_gap() -> None:
    """The take-profits end with the stop that fires; no order of these accounts is left anywhere."""
    driver = bracketed_longs()
    driver.send(index(88), buy(BUYER, 200, 88), tick(2 * SECOND))
    reasons = [event.reason for event in driver.events if isinstance(event, OrderEnded) and event.user in ACCOUNTS]
    assert reasons == [EndReason.OCO] * len(ACCOUNTS)
    assert not driver.market.waiting.orders
    assert not [order for side in (BUY, SELL) for order in driver.market.book.walk(side) if order.user in ACCOUNTS]


def test_replay_of_the_gap_gives_the_same_bytes() -> None:
    """The log alone decides."""
    driver = bracketed_longs()
    driver.send(index(88), buy(BUYER, 200, 88), tick(2 * SECOND))
    again = Driver()
    again.send(*driver.log[1:])
    assert again.bytes == driver.bytes
    assert dump(again.market) == dump(driver.market)


def test_a_gap_beyond_every_bid_is_not_sold_into_nothing() -> None:
    """Without a bid within the bound the stops wait; a take-profit that the recovery reaches was ended by its stop."""
    driver = bracketed_longs()
    driver.send(index(75))  # the bids are beyond the resting band and leave before anything can match them
    assert not [event for event in driver.events if isinstance(event, TradeExecuted) and event.price < 100]
    driver.send(index(112))
    assert len(driver.market.waiting.orders) == len(ACCOUNTS)
    driver.send(buy(BUYER, 200, 112), tick(SECOND))
    assert not driver.market.waiting.orders
