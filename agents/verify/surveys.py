"""One pass over each log before the replay: which sequences it holds, and whether it is consistent."""

import msgspec

from agents.verify.digests import Digests, digest
from agents.verify.report import Report
from agents.worker.settings import StreamSettings
from broker import event_records
from broker.command_records import read_whole_record
from broker.reader import stream_records
from broker.unreadable import UnreadableRecord
from schemas.events import CommandFailed
from schemas.topics import commands_topic, events_topic
from schemas.wire import (
    HASH_BYTES,
    CommandRecord,
    EventRecord,
    chain_hash,
    decode_event,
)
from store.advance import Advance
from store.markets.progress import MarketProgress


async def survey_commands(
    settings: StreamSettings, progress: MarketProgress, report: Report, advance: Advance
) -> Digests:
    """The digests of all commands in the log. A sequence that comes again with other bytes is a difference.

    A record that is not from the relay does not belong to the market: it is only counted.
    """
    digests = Digests()
    async for each in stream_records(settings.bootstrap, commands_topic(report.market)):
        record = command_record(each.value, report.market)
        if record is None:
            report.skipped_records += 1
            continue
        report.compare(f"epoch of command record {each.offset}", progress.epoch, record.epoch)
        for command in record.commands:
            if not digests.put(command.seq, digest(command.body)):
                report.differs(f"command {report.market}:{command.seq}", "the bytes it came with first", "other bytes")
            advance("reading commands", min(command.seq, progress.command_seq), progress.command_seq)
    return digests


def command_record(value: bytes | None, market: str) -> CommandRecord | None:
    """A record of the relay; None if it or one of its commands cannot be read, or if it is of another market."""
    try:
        return read_whole_record(value, market)
    except UnreadableRecord:
        return None


class EventSurvey:
    """Digest and chain hash of every event in the log, and the commands that failed according to it."""

    def __init__(self) -> None:
        self.bodies = Digests()
        self.chain = Digests(HASH_BYTES)
        self.failed: set[int] = set()

    def add(self, record: EventRecord, report: Report) -> None:
        """Add the events of a record; their hashes must chain from its first to its last."""
        chain, seq = record.prev_hash, record.first_event_seq - 1
        for seq, body in enumerate(record.events, record.first_event_seq):
            chain = chain_hash(chain, body)
            self._note_verdict(body)
            is_same = self.bodies.put(seq, digest(body)) and self.chain.put(seq, bytes.fromhex(chain))
            if not is_same:
                report.differs(f"event {report.market}:{seq}", "the bytes it was written with first", "other bytes")
        subject = f"event record {report.market}:{record.first_event_seq}"
        report.compare(f"{subject} last event", record.last_event_seq, seq)
        report.compare(f"{subject} hash", record.hash, chain)

    def _note_verdict(self, body: msgspec.Raw) -> None:
        if b"command.failed" in bytes(body)[:32]:
            event = decode_event(body)
            if isinstance(event, CommandFailed):
                self.failed.add(event.command)


async def survey_events(
    settings: StreamSettings, progress: MarketProgress, report: Report, advance: Advance
) -> EventSurvey:
    """All events in the log; an event written twice must be the same. A record that is not ours is only counted."""
    survey = EventSurvey()
    async for each in stream_records(settings.bootstrap, events_topic(report.market)):
        record = event_records.record_or_none(each.value, report.market)
        if record is None:
            report.skipped_records += 1
            continue
        subject = f"event record {report.market}:{record.first_event_seq}"
        report.compare(f"{subject} epoch", progress.epoch, record.epoch)
        survey.add(record, report)
        advance("reading events", min(record.last_event_seq, progress.event_seq), progress.event_seq)
    return survey
