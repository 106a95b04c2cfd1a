"""The publishing agent: what a market's events report goes to its documented topics, in order, without gaps.

`fills.{market}` has every trade, `executions.{market}` both sides of each. The numbers come from the market's own trade
counter, so the log and PostgreSQL give the same records (agents/fills/record_stream.py).
"""

import asyncio
import logging
from typing import Any, NamedTuple

from agents.fills.client_order_ids import ClientOrderIds
from agents.fills.record_kinds import EXECUTIONS, FILLS
from agents.fills.record_stream import Publication, RecordStream
from agents.fills.trades import read_trades
from agents.shard.shared_producer import SharedProducer
from agents.worker.database import ask_database
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StepCounter
from broker.errors import LogMismatch
from broker.event_records import read_record
from broker.producer import AckedProducer
from broker.unreadable import UnreadableRecord, check_partition
from schemas.executions import executions_of_trades, orders_of
from schemas.fills import fills_of_events
from schemas.market import MarketSpec
from schemas.topics import publisher_app_id
from schemas.wire import EventRecord
from store.crash_points import CrashPoint, passing
from store.markets.progress import read_market_progress
from store.markets.registry import read_spec
from store.session.connect import Connection

log = logging.getLogger(__name__)


class Known(NamedTuple):
    """The market in PostgreSQL when a publisher starts."""

    market_id: int
    spec: MarketSpec
    epoch: int


class Publisher:
    """The publisher of a market; a second one at the same time would send the same bytes again."""

    def __init__(self, market: str, settings: StreamSettings, shared: SharedProducer | None = None) -> None:
        self.market = market
        self.name = publisher_app_id(market)
        self._settings = settings
        self._shared = shared or SharedProducer(settings.bootstrap, market)
        self._letters = AckedProducer(settings.bootstrap, market)  # connects with the first one
        self._progress = StepCounter()
        publication = Publication(market, settings, self._shared.producer, self._letters, self._progress)
        self.fills = RecordStream(FILLS, publication)
        self.executions = RecordStream(EXECUTIONS, publication)
        self._streams: tuple[RecordStream[Any], ...] = (self.fills, self.executions)
        self._topics = [stream.topic for stream in self._streams]
        self._client_ids = ClientOrderIds(self.name, settings)
        self._known: Known | None = None

    async def begin(self) -> Known:
        """Continue where each topic ends, first with the persisted records that it does not hold."""
        await self._shared.join(*self._topics)
        known = await ask_database(self._settings.dsn, self.name, self._read_market)
        for stream in self._streams:
            await stream.begin()
        self._known = known
        return known

    async def take(self, event: Any) -> None:
        """Publish what an event record reports, then acknowledge it. One that is not ours is passed.

        Raises LogMismatch for another epoch of the market, NewerRecord, RecordsMissing, UnknownRules for a record that only
        newer code can read.
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
        await self._publish(known, record)
        event.ack()

    def advance(self) -> object:
        """A value that changes with every record and acknowledgement received."""
        return self._progress.steps

    async def has_work(self) -> bool:
        """Whether records are persisted that a topic does not hold; raises the error of an outage."""
        for stream in self._streams:
            if await stream.has_work():
                return True
        return False

    def release(self) -> None:
        """Forget the ends of the topics and read them again at the next record: another owner may publish meanwhile."""
        self._known = None

    async def disconnect(self) -> None:
        """Disconnect from the broker, after the app has stopped."""
        await self._shared.leave(*self._topics)
        await self._letters.stop()

    async def _publish(self, known: Known, record: EventRecord) -> None:
        """Send the trades of the record and both sides of each, at the same time."""
        trades, orders = read_trades(record)
        self._client_ids.note(orders)
        if trades:
            client_ids = await self._client_ids.of(known.market_id, orders_of(trades))
            fills = list(fills_of_events(known.spec, trades))
            executions = list(executions_of_trades(known.spec, trades, fills, client_ids))
            sent = await asyncio.gather(self.fills.publish(fills), self.executions.publish(executions))
            if any(sent):
                passing(CrashPoint.AFTER_PUBLICATION_BEFORE_OFFSET)
        self._client_ids.forget_old()

    async def _read_market(self, session: Connection) -> Known:
        progress = await read_market_progress(session, self.market)
        return Known(progress.market_id, await read_spec(session, self.market), progress.epoch)
