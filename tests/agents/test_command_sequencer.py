"""The gap rule and the rule of the same bytes, without any broker."""

import msgspec
import pytest

from agents.matching.command_sequencer import CommandSequencer, GapNeverFilled, GapWatch
from broker.errors import AlteredCommand
from schemas.commands import AdvanceClock
from schemas.units import Timestamp
from schemas.wire import CommandRecord, NumberedCommand, encode

TICK, OTHER = (encode(AdvanceClock(Timestamp(at))) for at in (1, 2))


def record(*seqs: int, body: bytes = TICK) -> CommandRecord:
    """A record of these commands."""
    return CommandRecord("TEA-PERP", 1, [NumberedCommand(seq, msgspec.Raw(body)) for seq in seqs])


def fresh(sequencer: CommandSequencer, taken: CommandRecord) -> tuple[list[int], int | None]:
    """The sequences that are new in a record, and the one that is missing."""
    commands, missing = sequencer.sort(taken)
    return [command.seq for command in commands], missing


def test_the_next_commands_are_accepted() -> None:
    """A record that continues the log is new from end to end."""
    assert fresh(CommandSequencer("TEA-PERP", 7), record(8, 9)) == ([8, 9], None)


def test_commands_seen_before_are_dropped() -> None:
    """A repeated command has no second effect, wherever the borders of the records are now."""
    sequencer = CommandSequencer("TEA-PERP", 0)
    sequencer.sort(record(1, 2))
    assert fresh(sequencer, record(1)) == ([], None)
    assert fresh(sequencer, record(2, 3)) == ([3], None)


def test_what_is_ahead_of_a_gap_is_dropped() -> None:
    """After a missing command nothing is accepted: it comes again with the missing one."""
    sequencer = CommandSequencer("TEA-PERP", 4)
    assert fresh(sequencer, record(5, 7, 8)) == ([5], 6)
    assert fresh(sequencer, record(6, 7, 8)) == ([6, 7, 8], None)


def test_a_repeated_command_with_other_bytes_is_refused() -> None:
    """A sequence means one command forever; another one under it comes from another past."""
    sequencer = CommandSequencer("TEA-PERP", 0)
    sequencer.sort(record(1, 2))
    with pytest.raises(AlteredCommand):
        sequencer.sort(record(2, body=OTHER))


def test_commands_covered_by_a_snapshot_are_forgotten() -> None:
    """Bytes are compared since the last snapshot only, so memory stays bounded."""
    sequencer = CommandSequencer("TEA-PERP", 0)
    sequencer.sort(record(1, 2, 3))
    sequencer.forget(2)
    assert fresh(sequencer, record(2, body=OTHER)) == ([], None)
    assert sequencer.next_seq == 4


def test_the_relay_is_asked_three_times_two_seconds_apart() -> None:
    """Records that follow the gap are no reason to ask again; a command that never comes ends the process."""
    watch = GapWatch("TEA-PERP")
    answers = [watch.must_ask(5, now_s) for now_s in (0.0, 0.1, 2.0, 2.1, 4.0)]
    assert answers == [True, False, True, False, True]
    with pytest.raises(GapNeverFilled):
        watch.must_ask(5, 6.0)


def test_another_gap_is_another_matter() -> None:
    """The three asks are counted for one sequence."""
    watch = GapWatch("TEA-PERP")
    assert all(watch.must_ask(seq, 0.0) for seq in range(5, 15))
