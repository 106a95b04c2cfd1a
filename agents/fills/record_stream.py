"""One documented topic of a market: its records in order, without gaps, continued where the topic ends.

It keeps no state of its own. PostgreSQL, which keeps every record, has those that the topic and the event log no longer
hold. After a fault it may publish a record twice, but never leaves one out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from aiokafka.errors import KafkaError

from agents.fills.end_of_topic import MisplacedRecord, Published, end_without_hole, is_same, last_without_hole, ours_in
from agents.fills.record_kinds import RecordKind
from agents.fills.trades import read_trades
from agents.worker.database import ask_database, ask_once
from agents.worker.foreign_records import ForeignRecords
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StepCounter
from broker.event_records import read_records
from broker.producer import AckedProducer, OutgoingRecord, can_be_retried
from broker.reader import last_of, read_back, records_between
from schemas.ids import public_event_id
from schemas.record_headers import TopicRecord
from schemas.topics import publisher_app_id

CATCH_UP_ROWS = 500
AGAIN_ON_A_NEW_BROKER = 10_000
END_RECORDS = 64
PERSISTED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.25

R = TypeVar("R", bound=TopicRecord)
T = TypeVar("T")

log = logging.getLogger(__name__)


class RecordsMissing(Exception):
    """A record is neither in the event log nor persisted in time: publishing the next one would leave a hole."""

    def __init__(self, topic: str, sequence: int) -> None:
        super().__init__(f"{topic} {sequence} is neither in the event log nor in PostgreSQL")
        self.topic = topic
        self.sequence = sequence


class Publication(NamedTuple):
    """What the streams of a market share."""

    market: str
    settings: StreamSettings
    producer: AckedProducer
    letters: AckedProducer
    progress: StepCounter


class RecordStream(Generic[R]):
    """The writer of one topic; a second one at the same time would send the same bytes again."""

    def __init__(self, kind: RecordKind[R], of: Publication) -> None:
        self.topic = kind.topic(of.market)
        self.last = 0
        self._kind = kind
        self._market = of.market
        self._name = publisher_app_id(of.market)
        self._settings = of.settings
        self._producer = of.producer
        self._foreign = ForeignRecords(of.market, self.topic, of.letters)
        self._progress = of.progress

    async def begin(self) -> None:
        """Continue where the topic ends, first with the persisted records that it does not hold, also when no event follows.

        The topic of a new broker begins with the records of the last 10,000; older ones are available over REST by sequence.
        """
        newest = await ask_database(self._settings.dsn, self._name, self._newest)
        published = await self._end_of_topic(newest)
        self.last = max(0, newest - AGAIN_ON_A_NEW_BROKER) if published is None else published
        log.info("%s continues after %d, persisted up to %d", self.topic, self.last, newest)
        await self._catch_up(newest + 1)

    async def publish(self, records: Sequence[R]) -> bool:
        """Send the records, and before them any that the event log no longer holds; drop what was sent already.

        Returns whether there was anything to send. Raises RecordsMissing.
        """
        fresh = [record for record in records if record.sequence > self.last]
        if not fresh:
            return False
        await self._catch_up(fresh[0].sequence)
        await self._send(fresh)
        return True

    async def has_work(self) -> bool:
        """Whether records are persisted that the topic does not hold; raises the error of an outage."""
        newest = await ask_once(self._settings.dsn, self._name, self._newest)
        published, _ = self._ours_in(await self._read_end())
        return newest > (last_without_hole(published) or 0)

    async def _catch_up(self, until: int) -> None:
        """Publish the records before `until` from PostgreSQL."""
        while self.last + 1 < until:
            await self._send(await self._persisted(self.last + 1, until))

    async def _persisted(self, first: int, until: int) -> list[R]:
        """Some records from `first` up to, not including, `until`; waits for a lagging projection. Raises RecordsMissing."""
        limit = min(until - first, CATCH_UP_ROWS)
        for _ in range(round(PERSISTED_WITHIN_S / LOOK_EVERY_S)):
            stored = await ask_database(
                self._settings.dsn,
                self._name,
                lambda session: self._kind.read(session, self._market, first, limit),
            )
            if stored and end_without_hole(record.sequence for record in stored) == first + len(stored) - 1:
                return stored
            log.warning("%s waits for record %d to be persisted", self.topic, first)
            await asyncio.sleep(LOOK_EVERY_S)
        raise RecordsMissing(self.topic, first)

    async def _send(self, records: Sequence[R]) -> None:
        key, encode, headers = self._market.encode(), self._kind.encode, self._kind.headers
        outgoing = [OutgoingRecord(key, encode(record), headers(record)) for record in records]
        await self._producer.send_together(self.topic, outgoing)
        self._progress.step()
        self.last = records[-1].sequence
        for place in self._producer.take_strangers(self.topic):
            between = await self._ask_broker(
                partial(records_between, self._settings.bootstrap, self.topic, place.start, place.stop)
            )
            await self._foreign.set_all_aside(self._ours_in(between)[1])

    async def _end_of_topic(self, newest: int) -> int | None:
        """The last record before any hole at the end of the topic; None when the topic holds none of ours.

        There is a hole if an earlier owner noticed a lost tail by writing after it. A record that is not one of ours is
        passed, and so is one that looks like it and that neither PostgreSQL nor the event log holds: it would make us
        leave out ours.
        """
        records = await self._ask_broker(self._read_end)
        if records:
            self._producer.expect_beyond(self.topic, last_of(records))
        published, foreign = self._ours_in(records)
        await self._foreign.set_all_aside(foreign)
        while (last := last_without_hole(published)) is not None:
            candidates = [each for each in published if each.said.sequence == last]
            wrong = [each for each in candidates if not await self._is_ours(each.said, newest)]
            if not wrong:
                return last
            await self._foreign.set_all_aside((each.record, MisplacedRecord(self._kind.name, last)) for each in wrong)
            published = [each for each in published if each not in wrong]
        return None

    async def _is_ours(self, said: R, newest: int) -> bool:
        """Whether PostgreSQL or, for a record that is not persisted yet, the event log holds what it reports."""
        if said.sequence <= newest:
            stored = await ask_database(
                self._settings.dsn,
                self._name,
                lambda session: self._kind.read(session, self._market, said.sequence, 1),
            )
            return any(is_same(said, each) for each in stored)
        market, _, event = said.event_id.rpartition(":")
        if market != self._market or not event.isdecimal():
            return False
        logged = await self._ask_broker(
            partial(read_records, self._settings.bootstrap, self._market, int(event), self._progress.step)
        )
        for each in logged:
            for trade in read_trades(each.record)[0]:
                is_event = public_event_id(market, trade.seq) == said.event_id
                if is_event and said.sequence in self._kind.sequences(trade.trade):
                    return True
        return False

    async def _ask_broker(self, question: Callable[[], Awaitable[T]]) -> T:
        """The broker's answer; waits through an outage."""
        while True:
            try:
                return await question()
            except KafkaError as error:
                if not can_be_retried(error):
                    raise
                log.warning("%s waits for the broker: %r", self._name, error)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _read_end(self) -> list[Any]:
        """The newest records of the topic, far enough back to hold one of ours if there is any."""
        return await read_back(
            self._settings.bootstrap,
            self.topic,
            lambda found: bool(self._ours_in(found)[0]),
            step=END_RECORDS,
        )

    def _ours_in(self, records: Sequence[Any]) -> tuple[list[Published[R]], list[tuple[Any, Any]]]:
        return ours_in(records, self._market, self._kind.decode)

    async def _newest(self, session: Any) -> int:
        return await self._kind.newest(session, self._market)
