"""A command that breaks the engine is undone, without any broker: the market is as if it had only been counted."""

import msgspec
import pytest

from agents.matching.command_sequencer import UnseenCommand
from agents.matching.market_assignment import MarketAssignment, StartingPoint, UndoneDiffers
from broker.errors import LogMismatch
from exchange.engine import engine
from exchange.engine.log import journal
from exchange.engine.log.journal import EncodedEvent, answer_command, fail_command
from exchange.engine.log.snapshot_format import dump
from exchange.engine.market import Market, empty_market
from exchange.errors import SequenceGap
from schemas.commands import Command, UserCommand
from schemas.events import Event
from schemas.wire import GENESIS_HASH, CommandRecord, NumberedCommand, encode, failed_command
from store.markets.progress import MarketProgress
from tests.agents.poison import POISON, EngineBroke, broken_apply
from tests.exchange.builders import ANN, BOB, amend, barrier, buy, cancel, listed, sell

TEA = "TEA-PERP"
PROGRESS = MarketProgress(1, 1, 0, 0, GENESIS_HASH)
LOG: tuple[Command, ...] = (
    listed(),
    buy(ANN, 5, 100),
    sell(BOB, 2, 100, client_order_id=POISON),  # 3: would trade with ann
    sell(BOB, 1, 100),
    buy(ANN, 7, 99),
    cancel(ANN, 5),  # 6: nobody can cancel 7 lots
    sell(BOB, 9, 99, client_order_id=POISON + "-2"),  # 7: would empty the book
    sell(BOB, 6, 100),
    amend(ANN, 5, 2, 98),  # 9: nobody can amend 7 lots
    amend(ANN, 2, 2, 98),
    barrier("end"),
)
BREAKS = {3, 6, 7, 9}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has a bug."""
    monkeypatch.setattr(journal, "apply", broken_apply)


def assignment(written: dict[int, str] | None = None, failed: frozenset[int] = frozenset()) -> MarketAssignment:
    """An assignment over the market from its first command on."""
    return MarketAssignment(TEA, PROGRESS, StartingPoint(empty_market(TEA), -1), written or {}, failed)


def take(owner: MarketAssignment, first: int, last: int) -> list[EncodedEvent]:
    """Hand commands of the log over as one record; the events."""
    commands = [NumberedCommand(seq, msgspec.Raw(encode(LOG[seq - 1]))) for seq in range(first, last + 1)]
    fresh: list[UnseenCommand] = owner.sequencer.sort(CommandRecord(TEA, 1, commands)).fresh
    return owner.apply(fresh)


def as_it_must_be() -> tuple[Market, list[EncodedEvent]]:
    """The market for which the breaking commands were only counted, and its events."""
    market, lines = empty_market(TEA), []
    for seq, command in enumerate(LOG, 1):
        if seq in BREAKS:
            assert isinstance(command, UserCommand)
            lines += fail_command(market, seq, command)
        else:
            lines += answer_command(market, seq, command)
    return market, lines


@pytest.mark.parametrize("borders", [(11,), (3, 11), (2, 6, 9, 11), tuple(range(1, 12))])
@pytest.mark.usefixtures("broken")
def test_the_market_is_as_if_the_command_had_only_been_counted(borders: tuple[int, ...]) -> None:
    """Several in one record, at its beginning, its end, alone: the same events and the same state."""
    market, lines = as_it_must_be()
    owner, results, first = assignment(), list[EncodedEvent](), 1
    for border in borders:
        results += take(owner, first, border)
        first = border + 1
    assert results == lines
    assert dump(owner.market) == dump(market)
    assert [failure.seq for failure in owner.failures] == sorted(BREAKS)
    assert {type(failure.error) for failure in owner.failures} == {EngineBroke}


@pytest.mark.usefixtures("broken")
def test_what_a_snapshot_covers_is_not_needed_any_more() -> None:
    """After a snapshot the state is rebuilt from it and the commands since, however few are kept."""
    owner = assignment()
    take(owner, 1, 5)
    owner.saved(5, dump(owner.market))
    take(owner, 6, 11)
    assert dump(owner.market) == dump(as_it_must_be()[0])


def test_a_logged_verdict_is_honoured_by_an_engine_that_could_do_better() -> None:
    """The bug is fixed, the log says that the commands failed: they fail again, with the same hashes, in silence."""
    market, lines = as_it_must_be()
    owner = assignment({line.seq: line.hash for line in lines}, frozenset(BREAKS))
    results = take(owner, 1, 11)
    assert owner.leave_out_written(results, GENESIS_HASH) == (market.event_hash, [])
    assert dump(owner.market) == dump(market)
    assert owner.failures == []


def test_without_the_verdict_the_log_would_be_another() -> None:
    """What the verdict is for: the same commands on the repaired engine contradict the events that readers have."""
    owner = assignment({line.seq: line.hash for line in as_it_must_be()[1]})
    with pytest.raises(LogMismatch):
        owner.leave_out_written(take(owner, 1, 11), GENESIS_HASH)


@pytest.mark.parametrize("error", [MemoryError(), SequenceGap(1, 2), KeyboardInterrupt()])
def test_an_error_that_is_no_commands_fault_is_raised(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without memory or a log with a hole is no user's doing: the process stops, the command is still first."""
    owner = assignment()
    take(owner, 1, 2)

    def fail(market: Market, seq: int, command: Command) -> list[Event]:
        if seq == 3:
            raise error
        return engine.apply(market, seq, command)

    monkeypatch.setattr(journal, "apply", fail)
    with pytest.raises(type(error)):
        take(owner, 3, 3)
    assert owner.failures == []


def test_an_operators_command_that_breaks_the_engine_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may skip a status, a price or a clock tick."""
    owner = assignment()
    take(owner, 1, 10)

    def fail(market: Market, seq: int, command: Command) -> list[Event]:
        if seq == 11:
            raise EngineBroke
        return engine.apply(market, seq, command)

    monkeypatch.setattr(journal, "apply", fail)
    with pytest.raises(EngineBroke):
        take(owner, 11, 11)


def test_an_engine_that_repeats_itself_otherwise_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands since the snapshot must give the same events when they are applied again."""
    owner, calls = assignment(), 0

    def moody(market: Market, seq: int, command: Command) -> list[Event]:
        nonlocal calls
        calls += 1
        events = engine.apply(market, seq, command)
        if seq == 3:
            raise EngineBroke(seq)
        return events if calls < 3 else [msgspec.structs.replace(event, at=99) for event in events]

    monkeypatch.setattr(journal, "apply", moody)
    with pytest.raises(UndoneDiffers):
        take(owner, 1, 3)


def test_a_verdict_in_the_log_is_found_by_its_type() -> None:
    """Reading the log back separates failed commands from others without reading each event."""
    lines = as_it_must_be()[1]
    found = [failed_command(msgspec.Raw(line.body)) for line in lines]
    assert {seq for seq in found if seq is not None} == BREAKS
