"""Gives a subscription what has changed since its cursor: from the tables, up to where the feed of the account is, then it is live."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from api.database import Database
from api.live.accounts.cursor import NOWHERE, Place, Places, cursor_of
from api.live.accounts.feed import RETRY_S, AccountFeed
from api.live.accounts.subscriber import Subscriber
from schemas.live.account_messages import AccountChannel, Current, OrderChanged, OwnFill
from schemas.rest.orders import FillView, OrderView
from store.queries.accounts.live_account import Span, read_fills_between, read_orders_ended_between, read_reached
from store.session.connect import StoreUnavailable

PAGE = 500
ROOM_BYTES = 512 * 1024
"""While more waits for the client, nothing more is read."""
LOOK_EVERY_S = 0.02
_encode = msgspec.json.Encoder().encode


class Replay:
    """`since` is the cursor, `until` where the feed was when the subscription came, `open_orders` its orders then."""

    def __init__(self, feed: AccountFeed, database: Database, subscriber: Subscriber, since: Places) -> None:
        self._feed, self._database, self._subscriber = feed, database, subscriber
        self._until = feed.places(subscriber.channel)
        self._since = {market: since.get(market, NOWHERE) for market in self._until}
        self._open_orders = feed.order_frames() if subscriber.channel is AccountChannel.ORDERS else []
        self._names = {entered.market_id: market for market, entered in feed.markets.items()}

    async def persisted(self) -> None:
        """Wait until the tables have everything up to `until`. Raises StoreUnavailable."""
        while True:
            reached = await self._database.run(lambda session: read_reached(session, self._feed.user))
            written = {market.market_id: market.event_seq for market in reached.values()}
            if all(written.get(market, 0) >= place.seq for market, place in self._until.items()):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def run(self) -> None:
        """Send it, page by page, then what was held back meanwhile."""
        places = dict(self._since)
        for market, until in self._until.items():
            async for frame, cursor in self._frames(market, until, places):
                self._subscriber.append(frame, cursor)
                await self._room()
            places[market] = until
        for frame, cursor in self._open_orders:
            self._subscriber.append(frame, cursor)
            await self._room()
        cursor = cursor_of(places)
        self._subscriber.append(_encode(Current(self._subscriber.channel, cursor)), cursor)
        self._subscriber.release()

    async def _frames(self, market: int, until: Place, places: Places) -> AsyncIterator[tuple[bytes, str]]:
        """What has changed in a market, in the order of its events."""
        (after, since), name = self._since[market], self._names[market]
        while after < until.seq:
            page = await self._page(Span(self._feed.user, market, after, until.seq, since))
            for seq, view in page:
                cursor = cursor_of({**places, market: Place(seq, since)})
                if isinstance(view, FillView):
                    yield _encode(OwnFill("fills", name, seq, cursor, view)), cursor
                else:
                    yield _encode(OrderChanged("orders", name, seq, cursor, view)), cursor
            if len(page) < PAGE:
                return
            after = page[-1][0]

    async def _page(self, span: Span) -> Sequence[tuple[int, FillView]] | Sequence[tuple[int, OrderView]]:
        """Some of what has changed, however long the tables are unavailable; an event makes one fill or ends one order of an account."""
        while True:
            try:
                if self._subscriber.channel is AccountChannel.FILLS:
                    return await self._database.run(lambda session: read_fills_between(session, span, PAGE))
                return await self._database.run(lambda session: read_orders_ended_between(session, span, PAGE))
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    async def _room(self) -> None:
        while True:
            if self._subscriber.line.bytes_waiting <= ROOM_BYTES:
                return
            await asyncio.sleep(LOOK_EVERY_S)
