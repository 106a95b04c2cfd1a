"""Snapshots: the same state gives the same bytes, and the bytes give the state back."""

import msgspec
import pytest

from exchange.engine.log.snapshot_format import dump, load, state_hash
from exchange.engine.market import empty_market
from schemas.orders import TimeInForce
from tests.exchange.builders import ANN, BOB, BUY, CAT, SELL, Driver, buy, cancel, index, sell, tick


def full_market() -> Driver:
    """Queues, a partly filled order, timed and reduce-only orders, positions."""
    driver = Driver()
    driver.send(
        sell(ANN, 5, 101),
        sell(BOB, 5, 101),
        buy(CAT, 3, 101),
        sell(CAT, 2, 102, reduce_only=True),
        buy(ANN, 4, 98, time_in_force=TimeInForce.GTD, expires_at=50),
        buy(BOB, 4, 98),
        index(102),
    )
    return driver


def test_a_loaded_market_has_every_queue_in_its_order() -> None:
    """Price-time priority survives."""
    market = full_market().market
    loaded = load(dump(market))
    for side in (BUY, SELL):
        assert [repr(order) for order in loaded.book.walk(side)] == [repr(order) for order in market.book.walk(side)]
        assert list(loaded.book.depth(side)) == list(market.book.depth(side))


def test_a_loaded_market_remembers_what_its_orders_have_traded_and_when_they_end() -> None:
    """Cumulative fees, expiries and reduce-only cuts continue where they were."""
    driver = full_market()
    loaded = load(dump(driver.market))
    assert list(loaded.expiries) == [(50, 6)]
    assert loaded.reduce_only.groups[CAT].lots == 2
    assert [order.maker_notional for order in loaded.book.walk(SELL)] == [303_000_000, 0, 0]


def test_the_way_to_a_state_does_not_show_in_it() -> None:
    """Positions that were opened in another order, and dictionaries filled otherwise, are written the same."""
    one, other = full_market(), full_market()
    other.market.positions = dict(reversed(other.market.positions.items()))
    state = dump(one.market)
    assert dump(other.market) == state
    assert state_hash(dump(load(state))) == state_hash(state)


def test_orders_that_came_and_went_leave_only_the_sequences() -> None:
    """After everything is cancelled, the dump holds no order."""
    driver = full_market()
    driver.send(cancel(ANN, 2), cancel(BOB, 3), cancel(CAT, 5), tick(50), cancel(BOB, 7))
    assert len(driver.market.book) == 0
    assert dump(driver.market).endswith(b",[],[]]")


def test_a_market_that_has_read_nothing_can_be_dumped() -> None:
    """Recovery may start before the first command."""
    state = dump(empty_market("TEA-PERP"))
    assert dump(load(state)) == state
    assert load(state).spec.market == "TEA-PERP"


def test_what_is_not_a_dump_is_refused() -> None:
    """Half a snapshot never becomes a market."""
    with pytest.raises(msgspec.DecodeError):
        load(dump(full_market().market)[:-9])
