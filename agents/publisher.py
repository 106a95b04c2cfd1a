"""What the publishing agent does: every trade of a market goes to `fills.{market}`, in order, none left out.

It keeps nothing of its own: the last sequence in the topic is where it goes on. What the event log does not hold any
more is read from PostgreSQL, where every fill is kept. In the empty topic of a new broker the last 10,000 fills before
the log's first are published again; older ones are had by their sequence over REST.
"""

import logging
from collections.abc import Iterator
from typing import Any

from agents.acked_producer import AckedProducer
from agents.database import ask_database
from agents.fail_stop import ForeignLog
from agents.log_tail import last_record
from agents.settings import StreamSettings
from schemas.events import PositionTransferred, TradeExecuted
from schemas.fills import PublicFill, decode_fill, encode_fill, fill_headers, fill_of_trade, fill_of_transfer
from schemas.market import MarketSpec
from schemas.topics import fills_topic, publisher_app_id
from schemas.wire import EventRecord, decode_event, decode_event_record
from store.connect import Connection
from store.markets import load_registry
from store.queries.public_fills import read_public_fills
from store.standing import read_standing

log = logging.getLogger(__name__)

CATCH_UP_ROWS = 500
AGAIN_ON_A_NEW_BROKER = 10_000


class FillsMissing(Exception):
    """Trades are neither in the event log nor persisted: whoever published on would leave a hole."""

    def __init__(self, market: str, sequence: int) -> None:
        super().__init__(f"fill {market} {sequence} is nowhere to be found")
        self.market = market
        self.sequence = sequence


class Publisher:
    """The one who publishes the fills of a market; another one beside it would send the same bytes again."""

    def __init__(self, market: str, settings: StreamSettings) -> None:
        self.market = market
        self.name = publisher_app_id(market)
        self._settings = settings
        self._producer = AckedProducer(settings.bootstrap, is_embedded=settings.is_embedded)
        self._spec: MarketSpec | None = None
        self._epoch = 0
        self._last: int | None = None

    async def begin(self) -> None:
        """Learn the market's rules and epoch, and up to where its fills are published."""
        await self._producer.start()
        self._spec, self._epoch = await ask_database(self._settings.dsn, self.name, self._read_market)
        newest = await last_record(self._settings.bootstrap, fills_topic(self.market))
        self._last = decode_fill(newest).sequence if newest is not None else None
        log.info("%s goes on after fill %s", self.name, self._last)

    async def take(self, event: Any) -> None:
        """Publish the trades of an event record, then acknowledge it. Raises ForeignLog, FillsMissing."""
        if self._spec is None:
            await self.begin()
        record = decode_event_record(event.message.value)
        if (record.market, record.epoch) != (self.market, self._epoch):
            raise ForeignLog("event record of", (self.market, self._epoch), (record.market, record.epoch))
        for fill in self._fills_of(record):
            await self._publish(fill)
        event.ack()

    def release(self) -> None:
        """The market may be somebody else's for a while: look again where the topic ends."""
        self._spec = None

    async def disconnect(self) -> None:
        """Let go of the broker, after the app has stopped."""
        await self._producer.stop()

    def _fills_of(self, record: EventRecord) -> Iterator[PublicFill]:
        assert self._spec is not None  # noqa: S101 - begun before it takes
        for event in map(decode_event, record.events):
            if isinstance(event, TradeExecuted):
                yield fill_of_trade(self._spec, event)
            elif isinstance(event, PositionTransferred):
                yield fill_of_transfer(self._spec, event)

    async def _publish(self, fill: PublicFill) -> None:
        """Send the fill, after those before it that the event log does not hold; one that is there already is dropped."""
        if self._last is None:
            self._last = max(0, fill.sequence - 1 - AGAIN_ON_A_NEW_BROKER)
        while self._last + 1 < fill.sequence:
            await self._catch_up(self._last + 1, fill.sequence)
        if fill.sequence > self._last:
            await self._send(fill)

    async def _catch_up(self, first: int, until: int) -> None:
        """Publish some of the fills from `first` up to `until` out of PostgreSQL."""
        stored = await ask_database(
            self._settings.dsn,
            self.name,
            lambda session: read_public_fills(session, self.market, first, min(until - first, CATCH_UP_ROWS)),
        )
        if [fill.sequence for fill in stored] != list(range(first, first + len(stored))) or not stored:
            raise FillsMissing(self.market, first)
        for fill in stored:
            await self._send(fill)

    async def _send(self, fill: PublicFill) -> None:
        topic, body = fills_topic(self.market), encode_fill(fill)
        await self._producer.send(topic, body, key=self.market.encode(), headers=fill_headers(fill))
        self._last = fill.sequence

    async def _read_market(self, session: Connection) -> tuple[MarketSpec, int]:
        spec = (await load_registry(session)).by_name[self.market].spec
        return spec, (await read_standing(session, self.market)).epoch
