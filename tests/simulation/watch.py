"""Checks at every step: one sequence has one body forever, and nothing is acknowledged before it is done."""

from collections.abc import Callable, Iterable

from agents.matching.app import MarketEngine
from broker.event_records import hashes_in
from schemas.topics import book_changelog_topic, commands_topic, events_topic
from schemas.wire import EventRecord, decode_command_record, decode_event_record
from tables.book_table import heads, is_head, verified_snapshots
from tests.simulation.broker import Record
from tests.simulation.holes import Holes
from tests.simulation.live_books import LiveBooks
from tests.simulation.system import System
from tests.simulation.virtual_loop import Process
from tests.simulation.workers import Worker
from tests.simulation.world import World


class Watch:
    """Sees each record and each write of the relay's cursor, and remembers every event ever written."""

    def __init__(self, world: World, system: System) -> None:
        self.world = world
        self.system = system
        self.events: dict[str, dict[int, bytes]] = {market: {} for market in system.markets}
        self.books = LiveBooks(world, system)
        self._holes = {market: Holes() for market in system.markets}
        self._after_hole: dict[tuple[Process, str], int] = {}
        self._newest: dict[tuple[str, int], int] = {}
        self._sent: dict[str, set[int]] = {market: set() for market in system.markets}
        self._topics = {
            topic(market): (look, market)
            for market in system.markets
            for topic, look in (
                (events_topic, self._event_record),
                (commands_topic, self._command_record),
                (book_changelog_topic, self._snapshot_entry),
            )
        }
        system.broker.on_append = self._appended
        system.database.on_write = self._written
        system.broker.on_commit = self._committed
        system.workers.on_begin = self._begins

    def _committed(self, topic: str, offset: int) -> None:
        _, market = self._topics[topic]
        check = self._engine_commits if topic == commands_topic(market) else self._projection_commits
        check(market, offset)

    def _appended(self, writer: Process, topic: str, offset: int, key: bytes, value: bytes | None) -> None:
        look, market = self._topics[topic]
        look(market, key, value)
        if topic == events_topic(market):
            self._nobody_continues_after_a_hole(writer, market, offset, decode_event_record(value or b""))

    def _event_record(self, market: str, _key: bytes, value: bytes | None) -> None:
        """An event of one sequence is the same in every record, life and epoch, and chains to the one before it."""
        record = decode_event_record(value or b"")
        known = self.events[market]
        for (seq, _), body in zip(hashes_in(record), record.events, strict=True):
            if known.setdefault(seq, bytes(body)) != bytes(body):
                self.world.violated(f"event {market}:{seq} was written with two bodies")
        self.books.take(market, record)

    def _nobody_continues_after_a_hole(self, writer: Process, market: str, offset: int, record: EventRecord) -> None:
        """An engine may notice by one record that the log has lost what is not persisted; it writes no other after it."""
        persisted = self.system.database.tables.named(market).progress.event_seq
        missing = self._holes[market].missing_before(offset, record, persisted)
        known = self._after_hole.pop((writer, market), record.first_event_seq)
        if missing:
            self._after_hole[writer, market] = record.first_event_seq
            if known != record.first_event_seq:
                self.world.violated(f"{writer.name} continues in {market}, although the log has lost event {missing}")

    def _command_record(self, market: str, _key: bytes, value: bytes | None) -> None:
        self._sent[market] |= {command.seq for command in decode_command_record(value or b"").commands}

    def _snapshot_entry(self, market: str, key: bytes, value: bytes | None) -> None:
        """When a head is there, all that it names is there; except for a zombie's, late, after a newer valid one.

        And whichever process writes or forgets, the newest valid snapshot stays.
        """
        if self.system.broker.has_lost_tails or (value is not None and not is_head(key)):
            return
        entries = self.system.broker.table(book_changelog_topic(market))
        epoch = self.system.database.tables.named(market).epoch
        newest = max((taken.head.command_seq for taken in verified_snapshots(entries, market, epoch)), default=-1)
        if value is not None and int(key.removeprefix(b"head/")) > newest:
            self.world.violated(f"head {market}:{key!r} names chunks that are not there")
        before = self._newest.get((market, epoch), -1)
        self._newest[market, epoch] = newest
        if newest < before:
            self.world.violated(f"the snapshot {market}:{before} is gone, the newest is {newest}")

    def _begins(self, worker: Worker, market: str, offset: int) -> None:
        """A worker that begins reads everything that its state does not cover, or it will be sent again."""
        if self.system.broker.has_lost_tails:
            return
        row = self.system.database.tables.named(market)
        log = self.system.broker.log(worker.feed.topic)
        at = offset if offset <= len(log) else 0
        if isinstance(worker, MarketEngine):
            assignment = worker.matcher._assignment
            covered = row.counter if assignment is None else assignment.market.command_seq
            only_before = {seq for seq in _only_before(at, log, _commands_in) if seq <= row.cursor}
        else:
            covered = row.progress.event_seq
            only_before = _only_before(at, log, _events_in)
        left_out = {seq for seq in only_before if seq > covered}
        if left_out:
            self.world.violated(
                f"{worker.name} begins at offset {offset}, covers {covered}, and leaves out {sorted(left_out)}"
            )

    def _written(self, name: str, arguments: tuple[object, ...]) -> None:
        """The relay's cursor passes no command that was not sent since it was set back."""
        role, *values = arguments
        if name == "rewind":
            sent, missing = self._sent[str(values[0])], int(str(values[1]))
            if self.system.database.tables.named(str(values[0])).cursor >= missing:
                sent.difference_update([seq for seq in sent if seq >= missing])
        if name == "sent" and role == "relay":
            for market_id, first, last in zip(*values[:3], strict=True):  # type: ignore[call-overload]  # three arrays
                if self.system.database.tables.markets[market_id].cursor == first:
                    self._cursor_moves(market_id, last)
        if name == "set cursor" and role == "relay":
            self._cursor_moves(int(str(values[0])), int(str(values[1])))

    def _cursor_moves(self, market_id: int, cursor: int) -> None:
        market = self.system.database.tables.markets[market_id]
        skipped = set(range(market.cursor + 1, cursor + 1)) - self._sent[market.name]
        if skipped:
            self.world.violated(f"the cursor of {market.name} passes {sorted(skipped)}, which were not sent")

    def _engine_commits(self, market: str, offset: int) -> None:
        """What is acknowledged is in a snapshot that is durable; a changelog that lost its tail excuses."""
        if self.system.broker.has_lost_tails:
            return
        log = self.system.broker.log(commands_topic(market))[:offset]
        done = max((decode_command_record(value or b"").commands[-1].seq for _, value in log), default=0)
        known = heads(self.system.broker.table(book_changelog_topic(market)))
        if done and (not known or known[0].command_seq < done):
            self.world.violated(f"command {market}:{done} is acknowledged before a snapshot covers it")

    def _projection_commits(self, market: str, offset: int) -> None:
        """What is acknowledged is in the rows, unless a zombie has written it again; offsets of a log that lost its tail say nothing."""
        if self.system.broker.has_lost_tails:
            return
        done = max(_only_before(offset, self.system.broker.log(events_topic(market)), _events_in), default=0)
        if self.system.database.tables.named(market).progress.event_seq < done:
            self.world.violated(f"event {market}:{done} is acknowledged before it is persisted")


def _only_before(offset: int, log: list[Record], sequences_in: Callable[[bytes | None], Iterable[int]]) -> set[int]:
    """What a log holds before an offset, and does not hold again after it."""
    passed, coming = (
        {seq for _, value in part for seq in sequences_in(value)} for part in (log[:offset], log[offset:])
    )
    return passed - coming


def _commands_in(value: bytes | None) -> list[int]:
    return [command.seq for command in decode_command_record(value or b"").commands]


def _events_in(value: bytes | None) -> range:
    record = decode_event_record(value or b"")
    return range(record.first_event_seq, record.last_event_seq + 1)
