"""The publishing agent: every trade of a market goes to `fills.{market}`, in order, without gaps.

It keeps no state of its own: it continues where the topic ends, and PostgreSQL, which keeps every fill, has those that
the topic and the event log no longer hold. After a fault it may publish a fill twice, but never leaves one out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError

from agents.fills.end_of_topic import MisplacedFill, end_without_hole, fills_in, is_same, last_without_hole
from agents.shard.shared_producer import SharedProducer
from agents.worker.database import ask_database, ask_once
from agents.worker.foreign_records import ForeignRecords
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StepCounter
from broker.errors import LogMismatch
from broker.event_records import read_record, read_records
from broker.producer import AckedProducer, OutgoingRecord, can_be_retried
from broker.reader import last_of, read_back, records_between
from broker.unreadable import UnreadableRecord, check_partition
from exchange.engine.rules import check_known
from schemas.fills import PublicFill, encode_fill, fill_headers, fills_of_events
from schemas.market import MarketSpec
from schemas.topics import fills_topic, publisher_app_id
from schemas.wire import EventRecord, trade_in
from store.crash_points import CrashPoint, passing
from store.markets.progress import read_market_progress
from store.markets.registry import read_spec
from store.queries.market_data.public_fills import newest_public_fill, read_public_fills
from store.session.connect import Connection

CATCH_UP_ROWS = 500
AGAIN_ON_A_NEW_BROKER = 10_000
END_RECORDS = 64
PERSISTED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.25

T = TypeVar("T")

log = logging.getLogger(__name__)


class FillsMissing(Exception):
    """A trade is neither in the event log nor persisted in time: publishing the next one would leave a hole."""

    def __init__(self, market: str, sequence: int) -> None:
        super().__init__(f"fill {market} {sequence} is neither in the event log nor in PostgreSQL")
        self.market = market
        self.sequence = sequence


class Known(NamedTuple):
    """The market in PostgreSQL when a publisher starts; `newest` is the last persisted fill, 0 for none."""

    spec: MarketSpec
    epoch: int
    newest: int


class Publisher:
    """The publisher of a market's fills; a second one at the same time would send the same bytes again."""

    def __init__(self, market: str, settings: StreamSettings, shared: SharedProducer | None = None) -> None:
        self.market = market
        self.name = publisher_app_id(market)
        self._settings = settings
        self._topic = fills_topic(market)
        self._shared = shared or SharedProducer(settings.bootstrap, market)
        self._producer = self._shared.producer
        self._letters = AckedProducer(settings.bootstrap, market)  # connects with the first one
        self._foreign = ForeignRecords(market, self._topic, self._letters)
        self._progress = StepCounter()
        self._known: Known | None = None
        self._last = 0

    async def begin(self) -> Known:
        """Continue where the topic ends, first with the persisted fills that it does not hold, also when no event follows.

        The topic of a new broker begins with the last 10,000 fills; older ones are available over REST by sequence.
        """
        await self._shared.join(self._topic)
        known = await ask_database(self._settings.dsn, self.name, self._read_market)
        published = await self._end_of_topic(known)
        self._last = max(0, known.newest - AGAIN_ON_A_NEW_BROKER) if published is None else published
        log.info("%s continues after fill %d, persisted up to %d", self.name, self._last, known.newest)
        await self._catch_up(known.newest + 1)
        self._known = known
        return known

    async def take(self, event: Any) -> None:
        """Publish the trades of an event record, then acknowledge it. One that is not ours is passed.

        Raises LogMismatch for another epoch of the market, NewerRecord, FillsMissing.
        """
        self._progress.step()
        known = self._known or await self.begin()
        try:
            check_partition(event.message)
            record = read_record(event.message.value, self.market)
        except UnreadableRecord as fault:  # the projection counts it and keeps it among the dead letters
            log.warning("%s passes the record at offset %d: %s", self.name, event.message.offset, fault)
            event.ack()
            return
        if record.epoch != known.epoch:
            raise LogMismatch(f"epoch of an event record of {self.market}", known.epoch, record.epoch)
        await self._publish(list(fills_of(known.spec, record)))
        event.ack()

    def advance(self) -> object:
        """A value that changes with every record and acknowledgement received."""
        return self._progress.steps

    async def has_work(self) -> bool:
        """Whether fills are persisted that the topic does not hold; raises the error of an outage."""
        newest = await ask_once(self._settings.dsn, self.name, lambda s: newest_public_fill(s, self.market))
        published, _ = fills_in(await self._read_end(), self.market)
        return newest > (last_without_hole(published) or 0)

    def release(self) -> None:
        """Forget the end of the topic and read it again at the next record: another owner may publish meanwhile."""
        self._known = None

    async def disconnect(self) -> None:
        """Disconnect from the broker, after the app has stopped."""
        await self._shared.leave(self._topic)
        await self._letters.stop()

    async def _publish(self, fills: Sequence[PublicFill]) -> None:
        """Send the fills, and before them any that the event log no longer holds; drop what was sent already."""
        fresh = [fill for fill in fills if fill.sequence > self._last]
        if fresh:
            await self._catch_up(fresh[0].sequence)
            await self._send(fresh)
            passing(CrashPoint.AFTER_PUBLICATION_BEFORE_OFFSET)

    async def _catch_up(self, until: int) -> None:
        """Publish the fills before `until` from PostgreSQL."""
        while self._last + 1 < until:
            await self._send(await self._persisted(self._last + 1, until))

    async def _persisted(self, first: int, until: int) -> list[PublicFill]:
        """Some fills from `first` up to, not including, `until`; waits for a lagging projection. Raises FillsMissing."""
        limit = min(until - first, CATCH_UP_ROWS)
        for _ in range(round(PERSISTED_WITHIN_S / LOOK_EVERY_S)):
            stored = await ask_database(
                self._settings.dsn,
                self.name,
                lambda session: read_public_fills(session, self.market, first, limit),
            )
            if stored and end_without_hole(fill.sequence for fill in stored) == first + len(stored) - 1:
                return stored
            log.warning("%s waits for fill %d to be persisted", self.name, first)
            await asyncio.sleep(LOOK_EVERY_S)
        raise FillsMissing(self.market, first)

    async def _send(self, fills: Sequence[PublicFill]) -> None:
        key = self.market.encode()
        records = [OutgoingRecord(key, encode_fill(fill), fill_headers(fill)) for fill in fills]
        await self._producer.send_together(self._topic, records)
        self._progress.step()
        self._last = fills[-1].sequence
        for place in self._producer.take_strangers(self._topic):
            between = await self._ask_broker(
                partial(records_between, self._settings.bootstrap, self._topic, place.start, place.stop)
            )
            await self._foreign.set_all_aside(fills_in(between, self.market)[1])

    async def _end_of_topic(self, known: Known) -> int | None:
        """The last fill before any hole at the end of the topic; None when the topic holds none of our fills.

        There is a hole if an earlier owner noticed a lost tail by writing after it. A record that is not a fill of ours
        is passed, and so is one that looks like a fill and that neither PostgreSQL nor the event log holds: it would make
        us leave out ours.
        """
        records = await self._ask_broker(self._read_end)
        if records:
            self._producer.expect_beyond(self._topic, last_of(records))
        published, foreign = fills_in(records, self.market)
        await self._foreign.set_all_aside(foreign)
        while (last := last_without_hole(published)) is not None:
            newest = [each for each in published if each.fill.sequence == last]
            wrong = [each for each in newest if not await self._is_ours(each.fill, known)]
            if not wrong:
                return last
            await self._foreign.set_all_aside((each.record, MisplacedFill(each.fill.sequence)) for each in wrong)
            published = [each for each in published if each not in wrong]
        return None

    async def _is_ours(self, fill: PublicFill, known: Known) -> bool:
        """Whether PostgreSQL or, for a fill that is not persisted yet, the event log holds this fill."""
        if fill.sequence <= known.newest:
            stored = await ask_database(
                self._settings.dsn, self.name, lambda session: read_public_fills(session, self.market, fill.sequence, 1)
            )
            return any(is_same(fill, each) for each in stored)
        market, _, event = fill.event_id.rpartition(":")
        if market != self.market or not event.isdecimal():
            return False
        logged = await self._ask_broker(
            partial(read_records, self._settings.bootstrap, self.market, int(event), self._progress.step)
        )
        return any(is_same(fill, each) for one in logged for each in fills_of(known.spec, one.record))

    async def _ask_broker(self, question: Callable[[], Awaitable[T]]) -> T:
        """The broker's answer; waits through an outage."""
        while True:
            try:
                return await question()
            except KafkaError as error:
                if not can_be_retried(error):
                    raise
                log.warning("%s waits for the broker: %r", self.name, error)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _read_end(self) -> list[Any]:
        """The newest records of the topic, far enough back to hold one of our fills if there is any."""
        return await read_back(
            self._settings.bootstrap,
            self._topic,
            lambda found: bool(fills_in(found, self.market)[0]),
            step=END_RECORDS,
        )

    async def _read_market(self, session: Connection) -> Known:
        spec = await read_spec(session, self.market)
        epoch = (await read_market_progress(session, self.market)).epoch
        return Known(spec, epoch, await newest_public_fill(session, self.market))


def fills_of(spec: MarketSpec, record: EventRecord) -> Iterator[PublicFill]:
    """The trades among the events of a record, in their published form; UnknownRules for one that only newer code can read."""
    check_known(record.rules)
    yield from fills_of_events(spec, map(trade_in, record.events))
