"""The journal: what leaves the engine."""

from exchange.engine.log.journal import answer_command, fail_command
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import empty_market
from schemas.events import CommandFailed
from schemas.wire import GENESIS_HASH, chain_hash, decode_event
from tests.exchange.builders import ANN, BOB, Driver, buy, cancel, listed, sell


def test_each_event_is_chained_to_the_one_before_it() -> None:
    """The first event chains to the genesis hash, each later one to its predecessor, across commands."""
    market = empty_market("TEA-PERP")
    commands = (listed(), buy(ANN, 5, 100), sell(BOB, 3, 100))
    written = [line for seq, command in enumerate(commands, 1) for line in answer_command(market, seq, command)]
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
    written = [line for seq, command in enumerate(driver.log, 1) for line in answer_command(market, seq, command)]
    assert [decode_event(line.body) for line in written] == driver.events
    assert [(line.seq, line.command) for line in written] == [(e.seq, e.command) for e in driver.events]


def test_a_loaded_market_continues_with_the_same_hash() -> None:
    """The chain is part of the state: after a snapshot the next event has the hash it would have had without."""
    market = empty_market("TEA-PERP")
    for seq, command in enumerate((listed(), buy(ANN, 5, 100)), 1):
        answer_command(market, seq, command)
    copy = load(dump(market))
    assert answer_command(copy, 3, sell(BOB, 9, 99)) == answer_command(market, 3, sell(BOB, 9, 99))


def test_of_a_failed_command_the_state_keeps_only_the_sequence() -> None:
    """The command, the event and its hash are counted; book, clock, mark and positions are as before."""
    market, twin = empty_market("TEA-PERP"), empty_market("TEA-PERP")
    for seq, command in enumerate((listed(), buy(ANN, 5, 100)), 1):
        answer_command(market, seq, command)
        answer_command(twin, seq, command)
    (failed,) = fail_command(market, 3, sell(BOB, 5, 100))
    twin.command_seq, twin.event_seq, twin.event_hash = 3, failed.seq, failed.hash
    assert dump(market) == dump(twin)


def test_a_failed_command_names_the_order_it_created_or_was_to_cancel() -> None:
    """An order's number is the sequence of its command: so the event shows which of the two it was."""
    market = empty_market("TEA-PERP")
    for seq, command in enumerate((listed(), buy(ANN, 5, 100)), 1):
        answer_command(market, seq, command)
    lines = [*fail_command(market, 3, sell(BOB, 5, 100)), *fail_command(market, 4, cancel(ANN, 2))]
    failures = [event for line in lines if isinstance(event := decode_event(line.body), CommandFailed)]
    assert [(event.order, event.user, event.rejects_order) for event in failures] == [(3, BOB, True), (2, ANN, False)]
