"""Channels of which every message counts, and which begin at any sequence: out of the tables first, then from the log."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from api.database import Database
from api.live.feeds.feed import Feed
from api.live.feeds.subscribers import Line
from api.live.market_follower import EventBatch, MarketFollower
from api.live.metrics import LIVE_ENCODED
from api.live.outgoing import Key
from schemas.events import Event, FundingSettled
from schemas.fills import PublicFill, fills_of_events
from schemas.live.market_messages import Funding, Liquidation, MarketMessage, Trade
from schemas.live.subscriptions import Resume
from schemas.market import MarketSpec
from schemas.orders import FillCause
from store.projection.chain import Progress
from store.queries.market_data.funding import funding_of_event, read_fundings
from store.queries.market_data.live_market import StoredMarket, read_live_market
from store.queries.market_data.public_fills import read_forced_fills, read_public_fills
from store.session.connect import Session

PAGE = 500

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Item(NamedTuple):
    """One message: its sequence, its frame, and where a client goes on that has it."""

    sequence: int
    frame: bytes
    resume: Resume


class ReplayedFeed(Feed[StoredMarket]):
    """Each item once and in order. `last` is the sequence up to which all have been sent; the next one is larger."""

    def __init__(self, follower: MarketFollower, database: Database, turns: asyncio.Semaphore) -> None:
        super().__init__(follower, database)
        self.last = 0
        self._turns = turns
        self._spec: MarketSpec | None = None
        self._missed: list[Item] = []
        self._subscribers: dict[tuple[Line, Key], int] = {}
        """With the sequence up to which each has everything."""

    def subscribe(self, line: Line, key: Key) -> None:
        """Send every item from now on; call `begin` before."""
        self.join(line, key, self.last)

    def join(self, line: Line, key: Key, has: int) -> None:
        """Send every item after one."""
        self._subscribers[line, key] = has

    def leave(self, line: Line, key: Key) -> None:
        """Send no more to this subscription."""
        self._subscribers.pop((line, key), None)

    def resume_after(self, sequence: int) -> Resume:
        """Where a client goes on that has everything up to a sequence."""
        return Resume(channel=self.channel, market=self.market, from_=sequence + 1)

    async def stored_page(self, first: int) -> "Page":
        """Up to 500 items from a sequence on, as the tables have them."""

        async def read(session: Session) -> "Page":
            stored = await read_live_market(session, self.market)
            if stored is None:
                raise KeyError(self.market)
            found = await self._read_page(session, first, PAGE)
            upto = self._reached(stored)
            items = [self._item(sequence, message) for sequence, message in found if sequence <= upto]
            return Page(items, stored.progress, upto, has_more=len(found) == PAGE and len(items) == PAGE)

        async with self._turns:  # few read at the same time: they leave connections to the others
            return await self._database.run(read)

    async def items_since(self, place: Progress, first: int) -> list[Item]:
        """The items from a sequence on in the events after a place; `join` before anything else is awaited."""
        events = await self._follower.events_since(place)
        return [item for item in self._items(events) if item.sequence >= first]

    @abstractmethod
    def _reached(self, stored: StoredMarket) -> int:
        """The sequence up to which the tables have everything."""

    @abstractmethod
    async def _read_page(self, session: Session, first: int, limit: int) -> list[tuple[int, MarketMessage]]:
        """Items from a sequence on, oldest first."""

    @abstractmethod
    def _messages(self, spec: MarketSpec, events: Iterable[Event]) -> Iterator[tuple[int, MarketMessage]]:
        """The items in these events."""

    async def _read(self, session: Session) -> StoredMarket | None:
        return await read_live_market(session, self.market)

    async def _prepare(self, stored: StoredMarket) -> None:
        """Where there are subscribers, read what they have missed."""
        self._missed, first, has_more = [], self.last + 1, bool(self._subscribers)
        while has_more:
            page = await self.stored_page(first)
            self._missed += [item for item in page.items if item.sequence <= self._reached(stored)]
            first, has_more = (page.items[-1].sequence + 1 if page.items else first), page.has_more

    def _start(self, stored: StoredMarket, events: Sequence[Event]) -> None:
        self._spec = stored.spec
        missed, self._missed = self._missed, []
        self._send(missed)
        self.last = max(self.last, self._reached(stored))
        self._send_all(events)

    def _follow(self, events: Sequence[Event], batch: EventBatch) -> None:  # noqa: ARG002 - the events are enough
        self._send_all(events)

    def _send_all(self, events: Sequence[Event]) -> None:
        if self._subscribers:
            self._send(self._items(events))
        elif self._spec is not None:
            self.last = max([self.last, *(sequence for sequence, _ in self._messages(self._spec, events))])

    def _items(self, events: Iterable[Event]) -> Iterator[Item]:
        assert self._spec is not None, "begun"  # noqa: S101 - a bug of ours, not a user's doing
        return (self._item(sequence, message) for sequence, message in self._messages(self._spec, events))

    def _item(self, sequence: int, message: MarketMessage) -> Item:
        LIVE_ENCODED.labels(self.channel).inc()
        return Item(sequence, _encode(message), self.resume_after(sequence))

    def _send(self, items: Iterable[Item]) -> None:
        for item in items:
            if item.sequence <= self.last:
                continue
            self.last = item.sequence
            for (line, key), has in self._subscribers.items():
                if item.sequence > has:
                    line.append(item.frame, key, item.resume)


class Page(NamedTuple):
    """Items out of the tables as of an event; they have everything up to the sequence `upto`."""

    items: list[Item]
    progress: Progress
    upto: int
    has_more: bool


class FillsFeed(ReplayedFeed):
    """Fills of a market: their sequence is its trade counter."""

    def _reached(self, stored: StoredMarket) -> int:
        return stored.trade

    async def _read_page(self, session: Session, first: int, limit: int) -> list[tuple[int, MarketMessage]]:
        found = await self._read_fills(session, first, limit)
        return [(fill.sequence, self._message(fill)) for fill in found]

    def _messages(self, spec: MarketSpec, events: Iterable[Event]) -> Iterator[tuple[int, MarketMessage]]:
        fills = (fill for fill in fills_of_events(spec, events) if self._shows(fill))
        return ((fill.sequence, self._message(fill)) for fill in fills)

    @abstractmethod
    async def _read_fills(self, session: Session, first: int, limit: int) -> list[PublicFill]:
        """The fills of the channel from a sequence on, oldest first."""

    @abstractmethod
    def _shows(self, fill: PublicFill) -> bool:
        """Whether the channel has it."""

    @abstractmethod
    def _message(self, fill: PublicFill) -> MarketMessage:
        """The fill as it is sent."""


class TradesFeed(FillsFeed):
    """Every fill of a market."""

    channel = "trades"

    async def _read_fills(self, session: Session, first: int, limit: int) -> list[PublicFill]:
        return await read_public_fills(session, self.market, first, limit)

    def _shows(self, fill: PublicFill) -> bool:  # noqa: ARG002 - all of them
        return True

    def _message(self, fill: PublicFill) -> MarketMessage:
        return Trade(channel="trades", market=self.market, sequence=fill.sequence, data=fill)


class LiquidationsFeed(FillsFeed):
    """The fills that close a position by force."""

    channel = "liquidations"

    async def _read_fills(self, session: Session, first: int, limit: int) -> list[PublicFill]:
        return await read_forced_fills(session, self.market, first, limit)

    def _shows(self, fill: PublicFill) -> bool:
        return fill.cause is not FillCause.TRADE

    def _message(self, fill: PublicFill) -> MarketMessage:
        return Liquidation(channel="liquidations", market=self.market, sequence=fill.sequence, data=fill)


class FundingFeed(ReplayedFeed):
    """The fundings of a market; their sequence is that of the event."""

    channel = "funding"

    def _reached(self, stored: StoredMarket) -> int:
        return stored.progress.event_seq

    async def _read_page(self, session: Session, first: int, limit: int) -> list[tuple[int, MarketMessage]]:
        found = await read_fundings(session, self.market, first, limit)
        return [(seq, Funding(channel="funding", market=self.market, sequence=seq, data=view)) for seq, view in found]

    def _messages(self, spec: MarketSpec, events: Iterable[Event]) -> Iterator[tuple[int, MarketMessage]]:
        for event in events:
            if isinstance(event, FundingSettled):
                view = funding_of_event(spec, event)
                yield event.seq, Funding(channel="funding", market=self.market, sequence=event.seq, data=view)
