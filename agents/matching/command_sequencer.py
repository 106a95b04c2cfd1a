"""Which commands of a record are new to a market: the gap rule, and the check that a repeated command is the same."""

from typing import NamedTuple

import msgspec

from broker.command_records import read_command
from broker.errors import AlteredCommand
from schemas.commands import Command
from schemas.wire import CommandRecord

ASK_AGAIN_AFTER_S = 2.0
ASKS_MAX = 3


class GapNeverFilled(Exception):
    """The relay was asked three times for the same command and did not send it."""

    def __init__(self, market: str, seq: int) -> None:
        super().__init__(f"command {market}:{seq} is missing and the relay does not send it")
        self.market = market
        self.seq = seq


class UnseenCommand(NamedTuple):
    """A command that the market has not seen: its sequence, its bytes and the decoded command."""

    seq: int
    body: msgspec.Raw
    command: Command


class Sequenced(NamedTuple):
    """The new commands in sequence, and the missing one if the record skips a command."""

    fresh: list[UnseenCommand]
    missing: int | None


class CommandSequencer:
    """Remembers the bytes of the commands since the last snapshot."""

    def __init__(self, market: str, command_seq: int) -> None:
        self._market = market
        self._first_kept = command_seq + 1
        self._kept: list[msgspec.Raw] = []

    @property
    def next_seq(self) -> int:
        """The sequence of the next command."""
        return self._first_kept + len(self._kept)

    def sort(self, record: CommandRecord) -> Sequenced:
        """Accept the commands that come next; drop those seen before and those after a gap.

        Raises AlteredCommand, and UnreadableRecord for a new command that cannot be decoded: then no command of the
        record is accepted.
        """
        fresh: list[UnseenCommand] = []
        missing = None
        for seq, body in ((command.seq, command.body) for command in record.commands):
            following = self.next_seq + len(fresh)
            if seq > following:
                missing = following
                break
            if seq == following:
                fresh.append(UnseenCommand(seq, body, read_command(body)))
            elif self._first_kept <= seq < self.next_seq and self._kept[seq - self._first_kept] != body:
                read_command(body)  # unreadable bytes were never ours: a dead letter, not an altered command
                raise AlteredCommand(self._market, seq)
        self._kept += [command.body for command in fresh]
        return Sequenced(fresh, missing)

    def kept(self, first: int, stop: int) -> list[UnseenCommand]:
        """The commands from `first` up to, not including, `stop` again; none may be older than the last snapshot."""
        bodies = self._kept[first - self._first_kept : stop - self._first_kept]
        return [UnseenCommand(seq, body, read_command(body)) for seq, body in enumerate(bodies, first)]

    def forget(self, command_seq: int) -> None:
        """A snapshot covers everything up to `command_seq`."""
        del self._kept[: max(0, command_seq + 1 - self._first_kept)]
        self._first_kept = max(self._first_kept, command_seq + 1)


class GapWatch:
    """When to ask the relay for a missing command: at once, again after two seconds, three times in all."""

    def __init__(self, market: str) -> None:
        self._market = market
        self._seq = 0
        self._asks = 0
        self._asked_at_s = 0.0

    def must_ask(self, seq: int, now_s: float) -> bool:
        """Whether to ask for `seq` now; `now_s` is a monotonic clock. Raises GapNeverFilled."""
        if seq == self._seq and now_s < self._asked_at_s + ASK_AGAIN_AFTER_S:
            return False
        self._asks = self._asks + 1 if seq == self._seq else 1
        if self._asks > ASKS_MAX:
            raise GapNeverFilled(self._market, seq)
        self._seq, self._asked_at_s = seq, now_s
        return True
