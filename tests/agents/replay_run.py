"""`python -m tests.agents.replay_run COMMANDS CHANCE`: a long random log through owners that die; prints where it ends.

The commands depend on COMMANDS alone. CHANCE decides all that must not matter: how the relay packs them and repeats
them, how the engine packs its events, when an owner dies, and how old the snapshot is from which the next one
continues. CHANCE 0 is the undisturbed run: one owner, one command a record.
"""

import random
import sys
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from agents.matching.market_assignment import MarketAssignment, StartingPoint
from broker import event_records
from broker.event_records import pack
from exchange.engine.log.snapshot_format import dump, load, state_hash
from exchange.engine.market import empty_market
from schemas.commands import Command
from schemas.wire import GENESIS_HASH, CommandRecord, EventRecord, NumberedCommand, encode
from store.markets.progress import MarketProgress
from store.projection.chain import Progress, decode_chain, events_after
from tests.exchange.builders import listed
from tests.exchange.streams import long_course

TEA = "TEA-PERP"
PROGRESS = MarketProgress(1, 1, 0, 0, GENESIS_HASH)
COMMANDS_PER_RECORD_MAX = 500
RECORDS_PER_SNAPSHOT = 10
DIES_ONE_IN = 15
DELIVERIES_MAX = 3


class Ending(NamedTuple):
    """The result every run of the same log must have, and the events of the run."""

    events: int
    event_hash: str
    state_hash: str
    restarts: int
    repeated: int


class EventLog:
    """The event log and a reader of it, which must find no hole and no sequence with two contents."""

    def __init__(self) -> None:
        self.progress = Progress(0, 0, GENESIS_HASH)
        self.since_snapshot: dict[int, str] = {}

    def append(self, records: Iterator[EventRecord]) -> None:
        """Write records; the reader follows."""
        for record in records:
            chain = decode_chain(TEA, [record])
            _, self.progress = events_after(TEA, self.progress, chain)
            self.since_snapshot |= {link.event.seq: link.hash for link in chain}


class Owners:
    """One owner after the other over the same market."""

    def __init__(self, chance: random.Random | None) -> None:
        self.chance = chance
        self.log = EventLog()
        self.restarts = self.repeated = 0
        self._kept: list[CommandRecord] = []  # since the snapshot
        self._snapshot = dump(empty_market(TEA))
        self.assignment = self._recovered()

    def take(self, record: CommandRecord) -> None:
        """The relay sends a record, perhaps more than once; somewhere in it the owner may die."""
        self._kept.append(record)
        for _ in range(1 + self._up_to(DELIVERIES_MAX - 1)):
            if self._happens(DIES_ONE_IN):
                self._die_over(record)
            self._match(record)
        if len(self._kept) >= RECORDS_PER_SNAPSHOT:
            self._take_snapshot()

    def ending(self) -> Ending:
        """The state of the market, and that the log ends there too."""
        market = self.assignment.market
        assert self.log.progress == Progress(market.event_seq, market.command_seq, market.event_hash)
        ends = (market.event_seq, market.event_hash, state_hash(dump(market)))
        return Ending(*ends, self.restarts, self.repeated)

    def _match(self, record: CommandRecord) -> None:
        before, seen = self.assignment.market.event_hash, self.assignment.market.command_seq
        self.repeated += sum(command.seq <= seen for command in record.commands)
        events = self.assignment.apply(self.assignment.sequencer.sort(record).fresh)
        before, unwritten = self.assignment.leave_out_written(events, before)
        self.log.append(pack(TEA, 1, before, unwritten))

    def _die_over(self, record: CommandRecord) -> None:
        """Some of its events are out, or none, or all; the next owner gets everything since the snapshot again."""
        reached = len(record.commands) and self._up_to(len(record.commands))
        self._match(msgspec.structs.replace(record, commands=record.commands[:reached]))
        self.restarts += 1
        self.assignment = self._recovered()
        for each in self._kept[:-1]:
            self._match(each)

    def _recovered(self) -> MarketAssignment:
        return MarketAssignment(TEA, PROGRESS, StartingPoint(load(self._snapshot), -1), dict(self.log.since_snapshot))

    def _take_snapshot(self) -> None:
        """The newest state, or, as after a lost one, still the old."""
        if self._happens(4):
            return
        self._snapshot = dump(self.assignment.market)
        self.assignment.saved(self.assignment.market.command_seq, self._snapshot)
        self._kept.clear()
        self.log.since_snapshot.clear()

    def _happens(self, one_in: int) -> bool:
        return self.chance is not None and self.chance.randrange(one_in) == 0

    def _up_to(self, most: int) -> int:
        return self.chance.randint(0, most) if self.chance is not None else 0


def run(commands: int, chance_seed: int) -> Ending:
    """The whole log, in records of any length."""
    chance = random.Random(chance_seed) if chance_seed else None  # noqa: S311 - a run must replay
    owners = Owners(chance)
    course = numbered(commands)
    while block := list(islice(course, chance.randint(1, COMMANDS_PER_RECORD_MAX) if chance else 1)):
        if chance is not None:
            event_records.EVENT_RECORD_BYTES_MAX = chance.choice((400, 20_000, 512 * 1024))
        owners.take(CommandRecord(TEA, 1, block))
    return owners.ending()


def numbered(count: int) -> Iterator[NumberedCommand]:
    """The log as the relay reads it from the outbox."""
    for seq, command in enumerate(_commands(count), 1):
        yield NumberedCommand(seq, msgspec.Raw(encode(command)))


def _commands(count: int) -> Iterator[Command]:
    yield listed()
    yield from long_course(seed=count, length=count - 1)


if __name__ == "__main__":
    sys.stdout.write(f"{' '.join(map(str, run(int(sys.argv[1]), int(sys.argv[2]))))}\n")
