"""A market of a relay: where it is, its next record, and how long it pauses after one."""

import asyncio
from collections.abc import Collection
from enum import Enum, auto

import msgspec

from agents.worker.metrics import COMMANDS_RELAYED, RECORDS_RELAYED
from agents.worker.ownership import give_up, take_on
from agents.worker.retry import Backoff
from schemas.topics import commands_topic
from schemas.units import Timestamp
from schemas.wire import (
    COMMANDS_PER_RECORD_MAX,
    EVENT_RECORD_BYTES_MAX,
    CommandRecord,
    NumberedCommand,
    encode,
)
from store.command_log.outbox import OutboxCommand, OutboxState, SentRecord, WaitingCommands
from store.markets.progress import MarketProgress
from store.session.presence import Task, Work

PAUSE_A_COMMAND_S = 0.002
PAUSE_MAX_S = 0.05
PAUSE_A_RECORD_S = 0.003
ROUND_MAX_S = 0.5
OTHERS_SHARE = 8
LOOK_AGAIN_MAX_S = 10.0


class OutboxHole(Exception):
    """The next command after the cursor is no longer in the outbox: the log must be rebuilt from a snapshot."""

    def __init__(self, market: str, expected: int, found: int) -> None:
        super().__init__(f"command {market}:{expected} is no longer in the outbox, the oldest is {found}")
        self.market = market
        self.expected = expected
        self.found = found


class Stage(Enum):
    """What a relay does with a market."""

    STANDBY = auto()  # it waits for the market's lock
    CHECKING = auto()  # it compares the cursor with the tail of the log
    READY = auto()  # it sends what waits, once the pause is over
    SENDING = auto()  # a record is under way
    WAITING = auto()  # it looks again after a while
    QUARANTINED = auto()  # it leaves the market alone as long as it holds this session


class RelayedMarket:
    """One market in one session of the relay."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.topic = commands_topic(name)
        self.key = name.encode()
        self.stage = Stage.STANDBY
        self.progress: MarketProgress | None = None
        self.due_s = 0.0
        """When it may be looked at again: the end of its pause, or of its wait."""
        self.is_woken = True
        """Whether commands may wait that were announced, or not looked for yet."""
        self.has_more = False
        """Whether more commands may wait than its last record took: the next one need not let any gather."""
        self.sent_before = 0
        """The last command that was in the log or persisted when this relay became its owner: an earlier relay recorded its time."""
        self.task: asyncio.Task[None] | None = None
        """What is under way for it: the check of its log, or its record."""
        self.sending: SentRecord | None = None
        self.tidied: OutboxState | None = None
        """How far it was when it was tidied last."""
        self.reason = ""
        """Why it waits, for operators."""
        self._backoff = Backoff(longest_s=LOOK_AGAIN_MAX_S)
        self._commands = COMMANDS_RELAYED.labels(name)
        self._records = RECORDS_RELAYED.labels(name)

    @property
    def market_id(self) -> int:
        """The market's number."""
        return self.known.market_id

    @property
    def epoch(self) -> int:
        """The epoch that its records have."""
        return self.known.epoch

    @property
    def is_owned(self) -> bool:
        """Whether this relay holds the market's lock."""
        return self.stage is not Stage.STANDBY

    def ready(self, at_s: float) -> None:
        """Send what waits, from a time on."""
        self.stage, self.due_s = Stage.READY, at_s
        take_on(Task(Work.RELAY, self.name))

    def wait(self, now_s: float) -> None:
        """Leave it alone for a while, which gets longer each time until a record is sent."""
        self.stage, self.due_s = Stage.WAITING, now_s + self._backoff.next()
        give_up(Task(Work.RELAY, self.name))

    def quarantine(self) -> None:
        """Leave it alone."""
        self.stage = Stage.QUARANTINED
        give_up(Task(Work.RELAY, self.name))

    def leave(self) -> asyncio.Task[None] | None:
        """Cancel what is under way, and return it: the next owner may send a record again."""
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
        give_up(Task(Work.RELAY, self.name))
        return task

    def next_record(self, waiting: WaitingCommands, sent_at: Timestamp) -> bytes:
        """The record of the first of the waiting commands, which is under way from now on. Raises OutboxHole."""
        cursor, commands = waiting.cursor, fitting(waiting.commands)
        if commands[0].seq != cursor + 1:
            raise OutboxHole(self.name, cursor + 1, commands[0].seq)
        self.has_more |= len(commands) < len(waiting.commands)
        self.sending = SentRecord(self.market_id, cursor, commands[-1].seq, sent_at, self.sent_before)
        return encode(CommandRecord(self.name, self.epoch, commands))

    def acknowledged(self) -> SentRecord:
        """The record under way, which is in the log now."""
        sent, self.sending = self.sending, None
        assert sent is not None  # noqa: S101 - a bug of ours, not a user's doing
        self._commands.inc(sent.to_seq - sent.from_seq)
        self._records.inc()
        self._backoff.reset()
        return sent

    @property
    def known(self) -> MarketProgress:
        """Its progress when this relay became its owner."""
        assert self.progress is not None, "listed before it is owned"  # noqa: S101 - as above
        return self.progress


class Round:
    """Markets that send at the same time send their next records together, so that later stages handle them together.

    Beside its commands a record costs all stages about 2 ms of processor time. At 3 ms a record, records take two thirds of a
    core at most, however many markets trade.
    """

    def __init__(self) -> None:
        self._sent: set[RelayedMarket] = set()
        self._began_s = self._ends_s = self._others_at_s = 0.0

    def add(self, markets: Collection[RelayedMarket], now_s: float) -> None:
        """These markets send a record each. In a long round the others send an eighth of it later, also together."""
        if now_s >= self._ends_s:
            self._sent.clear()
            self._began_s = now_s
        self._sent.update(markets)
        length_s = min((len(self._sent) - 1) * PAUSE_A_RECORD_S, ROUND_MAX_S)
        self._ends_s = self._began_s + length_s
        self._others_at_s = now_s + length_s / OTHERS_SHARE if length_s > PAUSE_MAX_S else 0.0

    def due_s(self, market: RelayedMarket) -> float:
        """When a market may send its next record, after a pause of its own; at once where more waits than its last record took."""
        if market.has_more:
            return market.due_s
        return max(market.due_s, self._ends_s if market in self._sent else self._others_at_s)


def pause_after(sent: int) -> float:
    """Seconds to let commands gather after a record of `sent` commands; 0 after a large one: more are waiting already.

    A single command causes little delay (2 ms for the next one), 400 a second about 20 ms. Only a busier market comes to the longest
    pause: its records are then large, and each later stage pays by record.
    """
    return 0.0 if sent >= COMMANDS_PER_RECORD_MAX // 2 else min(PAUSE_MAX_S, sent * PAUSE_A_COMMAND_S)


def fitting(waiting: list[OutboxCommand]) -> list[NumberedCommand]:
    """As many commands as one record holds: 512 KiB, but always at least one."""
    commands: list[NumberedCommand] = []
    size = 0
    for seq, payload in waiting:
        size += len(payload) + 24  # the sequence and the brackets around it
        if commands and size > EVENT_RECORD_BYTES_MAX:
            break
        commands.append(NumberedCommand(seq, msgspec.Raw(payload)))
    return commands
