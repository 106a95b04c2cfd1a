"""Bar 3: the same log gives the same events and the same state, whatever happens to its readers."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agents.matching.command_sequencer import CommandSequencer, Sequenced
from agents.matching.market_assignment import MarketAssignment
from broker.errors import LogMismatch
from exchange.engine import engine
from exchange.engine.log import journal
from exchange.engine.log.journal import EncodedEvent
from exchange.engine.log.snapshot_format import dump
from exchange.engine.market import Market
from exchange.errors import EngineError
from schemas.commands import Command
from schemas.events import Event
from schemas.wire import CommandRecord
from store.projection import ProjectionStopped
from tests.agents import replay_run
from tests.agents.replay_run import Ending, run

SHORT, FULL = 4_000, 1_000_000
HASH_SEEDS = {1: "0", 2: "1", 3: "4242"}
"""PYTHONHASHSEED for each seed of chance."""


def endings(commands: int) -> list[Ending]:
    """Three runs of the same log, each a process with other hashes, other batches and other deaths."""
    return [msgspec.convert(_run_apart(commands, *seeds).split(), Ending, strict=False) for seeds in HASH_SEEDS.items()]


def _run_apart(commands: int, chance_seed: int, hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "tests.agents.replay_run", str(commands), str(chance_seed)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def check(commands: int) -> None:
    """Three runs end alike, and each had its own trouble."""
    found = endings(commands)
    assert len({ending[:3] for ending in found}) == 1, found
    assert len({ending[3:] for ending in found}) > 1, found
    assert all(ending.restarts and ending.repeated > commands / 4 for ending in found), found
    print(f"{commands:,} commands, three runs: {found}")  # noqa: T201 - what was measured


def test_three_runs_give_the_same_events_and_the_same_state() -> None:
    """Other hash seeds, record borders, repetitions, deaths and snapshots: the same bytes."""
    check(SHORT)


def test_an_undisturbed_owner_comes_to_the_same() -> None:
    """One command a record, no owner dies: the reference for all other runs."""
    calm, stormy = run(SHORT // 2, 0), run(SHORT // 2, 1)
    assert calm[:3] == stormy[:3]
    assert (calm.restarts, calm.repeated) == (0, 0)


@pytest.mark.chaos  # minutes of processor time
@pytest.mark.timeout(7200)
def test_three_runs_of_a_million_commands_give_the_same_events_and_the_same_state() -> None:
    """The full size of the bar."""
    check(FULL)


def depend_on_the_process(market: Market, seq: int, command: Command) -> list[Event]:
    """Something that is another one after each recovery finds its way into an event."""
    events = engine.apply(market, seq, command)
    return [msgspec.structs.replace(event, at=id(market)) for event in events] if seq % 50 == 0 else events


def chain_to_the_batch(
    assignment: MarketAssignment, events: list[EncodedEvent], before: str
) -> tuple[str, list[EncodedEvent]]:
    """What an earlier owner has written is left out, but the rest chained to the events before all of it."""
    return before, [event for event in events if assignment.written.pop(event.seq, None) is None]


def lose_a_command(sequencer: CommandSequencer, record: CommandRecord) -> Sequenced:
    """The last of a record is passed over, and counted as seen."""
    found = _sort(sequencer, record)
    return found._replace(fresh=found.fresh[:-1]) if len(found.fresh) > 3 else found


def the_one_before() -> Callable[[Market], bytes]:
    """A dump that is always one snapshot late, as when a zombie writes an old one over the newest."""
    taken: list[bytes] = []

    def dump_late(market: Market) -> bytes:
        taken.append(dump(market))
        return taken[max(0, len(taken) - 2)]

    return dump_late


_sort = CommandSequencer.sort
FAULTS: dict[str, tuple[object, str, object]] = {
    "an event depends on the process": (journal, "apply", depend_on_the_process),
    "events are chained to the wrong hash": (MarketAssignment, "leave_out_written", chain_to_the_batch),
    "a command is lost": (CommandSequencer, "sort", lose_a_command),
    "an old snapshot has replaced the newest": (replay_run, "dump", the_one_before()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_put_in_on_purpose_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison bites: the run stops, or ends elsewhere."""
    expected = run(SHORT, 0)[:3]
    monkeypatch.setattr(*FAULTS[fault])
    with pytest.raises((LogMismatch, ProjectionStopped, EngineError, AssertionError)):
        assert run(SHORT, 1)[:3] == expected
