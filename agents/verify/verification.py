"""Verifying a market: its command log is replayed and compared with its events, its snapshots and its rows."""

from collections import defaultdict
from collections.abc import Sequence

from agents.verify.digests import Digests, digest
from agents.verify.horizon import choose_start
from agents.verify.known_snapshots import KnownSnapshot, stored_snapshots, table_snapshots
from agents.verify.report import Report
from agents.verify.rows import RowComparison
from agents.verify.surveys import EventSurvey, command_record, survey_commands, survey_events
from agents.worker.database import ask_once
from agents.worker.settings import StreamSettings
from broker.reader import stream_records
from exchange.engine.log.journal import EncodedEvent
from exchange.engine.log.replay import Replay
from exchange.engine.log.snapshot_format import dump, state_hash
from exchange.engine.market import Market
from schemas.topics import commands_topic
from schemas.wire import CommandRecord
from store.advance import Advance, unseen
from store.audit.verification import read_payloads, read_persisted_state
from store.markets.progress import MarketProgress
from store.session.connect import Connection

COMMANDS_PER_BLOCK = 2_000


async def verify(settings: StreamSettings, market: str, advance: Advance = unseen) -> Report:
    """Compare a market with its log, up to what was persisted at the start. KeyError for an unknown market.

    1. Read the rows that still change, in one snapshot.
    2. Survey the logs, whose ends are later than that snapshot, and the market's snapshots.
    3. Start at the oldest state from which the command log is complete.
    4. Replay, and compare each event, each snapshot on the way, and the rows block by block.
    5. Compare the remaining rows and the progress of the projection.

    It reads without a consumer group and writes nothing: the exchange may run meanwhile.
    """
    return await ask_once(settings.dsn, "verify", lambda session: _verify(session, settings, market, advance))


async def _verify(session: Connection, settings: StreamSettings, market: str, advance: Advance) -> Report:
    report = Report(market)
    persisted = await read_persisted_state(session, market)  # 1
    progress = persisted.progress
    report.to_command, report.to_event = progress.command_seq, progress.event_seq
    commands = await survey_commands(settings, progress, report, advance)  # 2
    events = await survey_events(settings, progress, report, advance)
    snapshots = stored_snapshots(persisted.snapshots, report) + await table_snapshots(settings, progress, report)
    await _compare_outbox(session, progress.market_id, commands, report)
    events.failed |= persisted.failed
    start = choose_start(report, progress, commands, snapshots)  # 3
    if start is not None:
        rows = RowComparison(session, persisted, report)
        verification = _Verification(start, progress, events, snapshots, rows, advance=advance)
        await verification.replay(settings)  # 4
        await verification.finish()  # 5
    return report


async def _compare_outbox(session: Connection, market_id: int, commands: Digests, report: Report) -> None:
    """The commands that PostgreSQL still keeps must be those of the log: otherwise it was restored from a backup."""
    after = 0
    while page := await read_payloads(session, market_id, after, COMMANDS_PER_BLOCK):
        for seq, payload in page.items():
            if commands.get(seq) not in {None, digest(payload)}:
                report.differs(f"command {report.market}:{seq}", "the bytes of the log", "other bytes in the outbox")
        after = max(page)


class _Verification:
    """The replay of one market and what it is compared with."""

    def __init__(
        self,
        start: Market,
        progress: MarketProgress,
        events: EventSurvey,
        snapshots: Sequence[KnownSnapshot],
        rows: RowComparison,
        *,
        advance: Advance,
    ) -> None:
        self._advance, self._first = advance, start.command_seq
        self._progress = progress
        self._report = rows.report
        self._events = events
        self._rows = rows
        self._replay = Replay(start, progress.event_seq, events.failed)
        self._snapshots: dict[int, list[KnownSnapshot]] = defaultdict(list)
        for known in snapshots:
            self._snapshots[known.command_seq].append(known)
        self._last_event = (start.event_seq, start.event_hash)
        self._trades = start.trade_seq
        self._is_chain_off = False
        self._block_from = start.command_seq + 1
        self._compare_snapshots()

    async def replay(self, settings: StreamSettings) -> None:
        """Every command from the horizon up to progress, in order; the log may repeat some and hold later ones.

        Events of the last command may be persisted only in part.
        """
        async for each in stream_records(settings.bootstrap, commands_topic(self._report.market)):
            record = command_record(each.value, self._report.market)
            if record is not None:
                self._take(record)
            if self._replay.market.command_seq >= self._block_from + COMMANDS_PER_BLOCK:
                await self._end_block()
        await self._end_block()

    async def finish(self) -> None:
        """Compare what is only known at the end: live rows and progress."""
        await self._rows.compare_rest(self._replay, self._trades)
        subject, progress = f"progress of {self._report.market}", self._progress
        is_cut = self._replay.market.event_seq > progress.event_seq
        answered = self._replay.market.command_seq - is_cut
        self._report.compare(f"{subject} command", answered, progress.command_seq)
        found = (progress.event_seq, progress.event_hash)
        self._report.compare(f"{subject} event and hash", self._last_event, found)

    def _take(self, record: CommandRecord) -> None:
        market = self._replay.market
        for command in record.commands:
            if command.seq == market.command_seq + 1 and self._is_persisted(command.seq):
                for event in self._replay.apply(command.seq, command.body):
                    self._compare_event(event)
                self._report.commands += 1
                self._compare_snapshots()

    def _is_persisted(self, seq: int) -> bool:
        """Whether the command is persisted, or at least its first events: a command with very many spans several records."""
        return seq <= self._progress.command_seq or self._replay.market.event_seq < self._progress.event_seq

    def _compare_event(self, event: EncodedEvent) -> None:
        self._last_event = (event.seq, event.hash)
        subject = f"event {self._report.market}:{event.seq}"
        body, chain = self._events.bodies.get(event.seq), self._events.chain.get(event.seq)
        if body is None or chain is None:
            if event.seq > self._events.bodies.first:  # retention has deleted the events before the first
                self._report.differs(subject, "in the log", "missing")
            return
        self._report.events += 1
        was_off, self._is_chain_off = self._is_chain_off, chain.hex() != event.hash
        if body != digest(event.body):
            self._report.differs(subject, event.body.decode(), "other bytes")
        elif self._is_chain_off and not was_off:
            self._report.differs(f"{subject} chained hash", event.hash, chain.hex())

    def _compare_snapshots(self) -> None:
        """Compare the snapshots taken after this command with the current state and the hash of the last event."""
        market = self._replay.market
        if market.command_seq not in self._snapshots:
            return
        now = (market.event_seq, market.event_hash, state_hash(dump(market)))
        for known in self._snapshots[market.command_seq]:
            self._report.snapshots += 1
            subject = f"snapshot after command {known.command_seq} in {known.source}"
            self._report.compare(subject, now, (known.event_seq, known.event_hash, known.state_hash))

    async def _end_block(self) -> None:
        last = self._replay.market.command_seq
        self._advance("replaying commands", last - self._first, self._progress.command_seq - self._first)
        trades = max((fill.trade for fill in self._replay.fills), default=self._trades)
        await self._rows.compare_block(self._replay, self._block_from, last, self._trades)
        self._trades, self._block_from = trades, last + 1
