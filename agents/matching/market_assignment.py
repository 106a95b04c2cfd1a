"""One assignment of a market: its state, and everything that is valid only until the next recovery."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from agents.matching.command_sequencer import CommandSequencer, GapWatch, UnseenCommand
from broker.dead_letters import Failure
from broker.errors import LogMismatch
from broker.reader import NO_RECORD, LastRecord
from exchange.engine.engine import orders_of_command
from exchange.engine.log.journal import EncodedEvent, answer_or_fail, fail_command
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from exchange.errors import EngineError
from schemas.commands import UserCommand
from schemas.ids import public_order_id
from schemas.wire import CommandRecord
from store.markets.progress import MarketProgress

log = logging.getLogger(__name__)


class UndoneDiffers(Exception):
    """Applying the commands since the last snapshot again gave other events: the engine is not deterministic."""

    def __init__(self, market: str, seq: int) -> None:
        super().__init__(f"replaying the commands up to {market}:{seq} gave other events than the first time")
        self.market = market
        self.seq = seq


class StartingPoint(NamedTuple):
    """A state to continue from, and the offset of the command record it came from."""

    market: Market
    offset: int


class MarketAssignment:
    """A market from one recovery to the next. A rebalance starts another one: after an await, compare by identity.

    `written`: hashes of the events that are in the log already; `log_end`: the last record of that log.
    `unacknowledged`: command records that wait for a snapshot. `failures`: commands that were undone and whose bytes
    are not among the dead letters yet. `is_fully_logged`: every event of the commands applied is in the log, so a snapshot
    may be taken. `offset`: of the last command record.
    """

    def __init__(
        self,
        name: str,
        progress: MarketProgress,
        point: StartingPoint,
        written: dict[int, str],
        failed: Iterable[int] = (),
        *,
        log_end: LastRecord = NO_RECORD,
    ) -> None:
        self.name = name
        self.market, self.offset = point
        self.epoch = progress.epoch
        self.market_id = progress.market_id
        self.written = written
        self.log_end = log_end
        self.sequencer = CommandSequencer(name, self.market.command_seq)
        self.gap = GapWatch(name)
        self.unacknowledged: list[Any] = []
        self.failures: list[Failure] = []
        self.is_fully_logged = True
        self.snapshot_seq = self.market.command_seq
        self._checkpoint = dump(self.market)
        self._failed = set(failed)

    @property
    def is_dirty(self) -> bool:
        """Whether commands were applied since the last snapshot."""
        return self.market.command_seq > self.snapshot_seq

    def check_epoch(self, record: CommandRecord) -> None:
        """Raise LogMismatch for a record of another epoch: the log is from before a rebuild, or of another exchange."""
        if record.epoch != self.epoch:
            raise LogMismatch(f"epoch of a command record of {self.name}", self.epoch, record.epoch)

    def apply(self, commands: Sequence[UnseenCommand]) -> list[EncodedEvent]:
        """The events of these commands, in order. A user's command that breaks the engine is undone and answered as failed."""
        return [event for each in commands for event in self._answer(each)]

    def saved(self, command_seq: int, state: bytes) -> None:
        """A durable snapshot covers everything up to `command_seq`."""
        self.snapshot_seq = command_seq
        self.sequencer.forget(command_seq)
        self._checkpoint = state

    def leave_out_written(self, events: list[EncodedEvent], before: str) -> tuple[str, list[EncodedEvent]]:
        """The hash before the first event that is not in the log yet, and the events from there on.

        Raises LogMismatch when an event in the log differs.
        """
        for at, event in enumerate(events):
            known = self.written.pop(event.seq, None)
            if known is None:
                return before, events[at:]
            if known != event.hash:
                raise LogMismatch(f"hash of event {self.name}:{event.seq} in the log", event.hash, known)
            before = event.hash
        return before, []

    def _answer(self, each: UnseenCommand) -> list[EncodedEvent]:
        """Apply a command; one that failed before fails again, even if this code could apply it."""
        before = self.market.event_hash
        try:
            return answer_or_fail(self.market, each.seq, each.command, self._failed)
        except (MemoryError, EngineError):
            raise
        except Exception as error:  # docs/design.md, "Poison": one user's command must not stop everyone's market
            if not isinstance(each.command, UserCommand):
                raise
            self._undo(each, each.command, error, before)
            return fail_command(self.market, each.seq, each.command)

    def _undo(self, each: UnseenCommand, command: UserCommand, error: Exception, before: str) -> None:
        """Rebuild the state without the command, from the last snapshot and the commands since."""
        orders = [public_order_id(self.name, number) for number in orders_of_command(each.seq, command)]
        known = {"market": self.name, "sequence": each.seq, "order": ", ".join(orders)}
        log.error("command %s:%d breaks the engine and is undone", self.name, each.seq, exc_info=error, extra=known)
        market = load(self._checkpoint)
        for kept in self.sequencer.kept(market.command_seq + 1, each.seq):
            answer_or_fail(market, kept.seq, kept.command, self._failed)
        if market.event_hash != before:
            raise UndoneDiffers(self.name, each.seq - 1)
        self.market, self._checkpoint = market, dump(market)  # so that the next undo replays less
        self._failed.add(each.seq)
        self.failures.append(Failure(each.seq, each.body, error))
