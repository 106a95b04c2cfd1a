"""One tenure over a market: its state, and everything that is true only until the next recovery."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from agents.fail_stop import ForeignLog
from agents.intake import GapWatch, Intake
from exchange.journal import Written, write
from exchange.market import Market
from schemas.wire import CommandRecord, NumberedCommand, decode_command
from store.standing import Standing


class StartingPoint(NamedTuple):
    """A state to go on from, and the offset of the command record it came from."""

    market: Market
    offset: int


class Tenure:
    """A market from one recovery to the next. A rebalance begins another; whoever awaited compares them by identity.

    `written`: hashes of the events that are in the log already. `unacknowledged`: command records that wait for a
    snapshot. `is_settled`: every event of the commands applied is in the log, so a snapshot may be taken.
    `offset`: of the last command record.
    """

    def __init__(self, name: str, standing: Standing, point: StartingPoint, written: dict[int, str]) -> None:
        self.name = name
        self.market, self.offset = point
        self.epoch = standing.epoch
        self.market_id = standing.market_id
        self.written = written
        self.intake = Intake(name, self.market.command_seq)
        self.gap = GapWatch(name)
        self.unacknowledged: list[Any] = []
        self.is_settled = True
        self.snapshot_seq = self.market.command_seq

    @property
    def is_dirty(self) -> bool:
        """Whether commands were applied since the last snapshot."""
        return self.market.command_seq > self.snapshot_seq

    def check_epoch(self, record: CommandRecord) -> None:
        """ForeignLog for a record of another market or another epoch."""
        if (record.market, record.epoch) != (self.name, self.epoch):
            raise ForeignLog("command record of", (self.name, self.epoch), (record.market, record.epoch))

    def apply(self, commands: Sequence[NumberedCommand]) -> list[Written]:
        """The events of these commands, in order."""
        return [event for each in commands for event in write(self.market, each.seq, decode_command(each.body))]

    def leave_out_written(self, events: list[Written], before: str) -> tuple[str, list[Written]]:
        """The events that are not in the log yet, and the hash they chain to; ForeignLog when one there differs."""
        for at, event in enumerate(events):
            known = self.written.pop(event.seq, None)
            if known is None:
                return before, events[at:]
            if known != event.hash:
                raise ForeignLog(f"hash of event {self.name}:{event.seq} in the log", event.hash, known)
            before = event.hash
        return before, []
