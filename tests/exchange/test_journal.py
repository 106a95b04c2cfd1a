"""The journal: what leaves the engine."""

from exchange.journal import write
from exchange.market import empty_market
from exchange.snapshot import dump, load
from schemas.wire import GENESIS_HASH, chain_hash, decode_event
from tests.exchange.builders import ANN, BOB, Driver, buy, listed, sell


def test_each_event_is_chained_to_the_one_before_it() -> None:
    """The first event chains to the genesis hash, each later one to its predecessor, across commands."""
    market = empty_market("TEA-PERP")
    commands = (listed(), buy(ANN, 5, 100), sell(BOB, 3, 100))
    written = [line for seq, command in enumerate(commands, 1) for line in write(market, seq, command)]
    previous = GENESIS_HASH
    for line in written:
        previous = chain_hash(previous, line.body)
        assert line.hash == previous
    assert market.event_hash == previous
    assert [line.seq for line in written] == [1, 2, 3, 4]


def test_the_bytes_written_are_the_events_applied() -> None:
    """Reading the bytes back gives the events that apply returns, with their sequence and command."""
    driver = Driver()
    driver.send(buy(ANN, 5, 100), sell(BOB, 3, 100))
    market = empty_market("TEA-PERP")
    written = [line for seq, command in enumerate(driver.log, 1) for line in write(market, seq, command)]
    assert [decode_event(line.body) for line in written] == driver.events
    assert [(line.seq, line.command) for line in written] == [(e.seq, e.command) for e in driver.events]


def test_a_loaded_market_goes_on_with_the_same_hash() -> None:
    """The chain is part of the state: after a snapshot the next event has the hash it would have had without."""
    market = empty_market("TEA-PERP")
    for seq, command in enumerate((listed(), buy(ANN, 5, 100)), 1):
        write(market, seq, command)
    copy = load(dump(market))
    assert write(copy, 3, sell(BOB, 9, 99)) == write(market, 3, sell(BOB, 9, 99))
