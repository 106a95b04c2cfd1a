"""The channels `book` and `bbo`: the levels of a book, exact as of an event, and their changes."""

import zlib
from asyncio import sleep
from collections.abc import Iterable, Sequence

import msgspec

from api.database import Database
from api.live.feeds.feed import Feed
from api.live.feeds.subscribers import Key, Line, Subscribers
from api.live.market_follower import EventBatch, MarketFollower
from api.live.metrics import LIVE_ENCODED
from exchange.market_data.book_levels import BookLevels
from exchange.market_data.depth_view import ChangedLevels, DepthView, Level
from schemas.events import Event
from schemas.live.market_messages import BestPrices, BookSnapshot, BookUpdate
from schemas.live.subscriptions import BookDepth
from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.units import Timestamp, format_timestamp
from store.queries.formatting import price_text, quantity_text
from store.queries.market_data.live_market import StoredOrders, read_resting_orders
from store.session.connect import Session

CHECKSUM_LEVELS = 25
CHECKSUM_EACH = 100
LOADED_AT_ONCE = 5_000
_BIDS_AND_ASKS = (Side.BUY, Side.SELL)
_encode = msgspec.json.Encoder().encode


def checksum(bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> int:
    """The CRC-32 of `price:quantity` of the bids, best first, then of the asks, best first, joined by `:`."""
    return zlib.crc32(":".join(text for level in (*bids, *asks) for text in level).encode())


class BookView:
    """The book to one depth, and who follows it. `sequence` is that of the last message: the next one names it as `previous`."""

    def __init__(self, spec: MarketSpec, levels: BookLevels, depth: BookDepth, sequence: int, time: str) -> None:
        self._spec = spec
        self._view = DepthView(levels, depth)
        self._depth: BookDepth = depth
        self.sequence = sequence
        self.time = time
        self.subscribers: Subscribers = {}
        self._updates = 0
        self._snapshot: bytes | None = None
        self._frozen: ChangedLevels | None = None

    def follow(self, changes: dict[Side, dict[int, int]], sequence: int, time: str) -> None:
        """Send what has changed among the levels of this view."""
        self._frozen = None
        changed = self._view.follow(changes)
        if not (changed.bids or changed.asks):
            return
        previous, self.sequence, self.time, self._snapshot = self.sequence, sequence, time, None
        self._updates += 1
        if not self.subscribers:
            return
        bids, asks = self._texts(changed)
        has_checksum = self._updates % CHECKSUM_EACH == 0
        frame = _encode(
            BookUpdate(
                channel="book",
                market=self._spec.market,
                depth=self._depth,
                sequence=sequence,
                previous=previous,
                time=time,
                bids=bids,
                asks=asks,
                checksum=self._checksum(*self._texts(self._view.whole())) if has_checksum else None,
            )
        )
        LIVE_ENCODED.labels("book").inc()
        for line, key in self.subscribers:
            line.update_book(key, frame, self.resync)

    def freeze(self) -> None:
        """The levels are about to be in the middle of a command: who fell behind gets those of now, until `follow`."""
        self._frozen = self._view.whole()

    def snapshot(self) -> bytes:
        """All levels of this view; encoded once for all who begin before they change."""
        if self._snapshot is None:
            self._snapshot = self._encode_snapshot(resync=False)
        return self._snapshot

    def resync(self) -> bytes:
        """The snapshot for one who fell behind."""
        return self._encode_snapshot(resync=True)

    def _encode_snapshot(self, *, resync: bool) -> bytes:
        bids, asks = self._texts(self._frozen or self._view.whole())
        LIVE_ENCODED.labels("book").inc()
        return _encode(
            BookSnapshot(
                channel="book",
                market=self._spec.market,
                depth=self._depth,
                sequence=self.sequence,
                time=self.time,
                bids=bids,
                asks=asks,
                checksum=self._checksum(bids, asks),
                resync=resync,
            )
        )

    @staticmethod
    def _checksum(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> int:
        return checksum(bids[:CHECKSUM_LEVELS], asks[:CHECKSUM_LEVELS])

    def _texts(self, levels: ChangedLevels) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        return _texts(self._spec, levels.bids), _texts(self._spec, levels.asks)


class BookFeed(Feed[StoredOrders]):
    """The book of a market. In the middle of a command nothing is sent: what still trades does not rest."""

    channel = "book"

    def __init__(self, follower: MarketFollower, database: Database) -> None:
        super().__init__(follower, database)
        self._levels = BookLevels()
        self._spec: MarketSpec | None = None
        self._at = Timestamp(0)
        self._is_whole = False
        self._is_resync = False
        self._loading = self._levels
        self._views: dict[BookDepth, BookView] = {}
        self._best = BestView()
        self._entering: list[tuple[Line, Key, BookDepth]] = []

    def subscribe_book(self, line: Line, key: Key, depth: BookDepth) -> None:
        """Send the snapshot, then every update; call `begin` before."""
        self._entering.append((line, key, depth))
        self._let_enter()

    def subscribe_best(self, line: Line, key: Key) -> None:
        """Send best bid and ask, now and on change; call `begin` before."""
        self._best.subscribers[line, key] = None
        if self._is_whole and self._best.frame:
            line.replace(key, self._best.frame)

    def leave(self, line: Line, key: Key) -> None:
        """Send no more to this subscription."""
        self._entering = [each for each in self._entering if each[:2] != (line, key)]
        self._best.subscribers.pop((line, key), None)
        for depth, view in list(self._views.items()):
            view.subscribers.pop((line, key), None)
            if not view.subscribers:
                del self._views[depth]

    async def _read(self, session: Session) -> StoredOrders | None:
        return await read_resting_orders(session, self.market)

    async def _prepare(self, stored: StoredOrders) -> None:
        self._loading = BookLevels()
        for start in range(0, len(stored.rows), LOADED_AT_ONCE):
            for order in stored.resting(start, start + LOADED_AT_ONCE):
                self._loading.load(order)
            await sleep(0)  # orders come first

    def _start(self, stored: StoredOrders, events: Sequence[Event]) -> None:
        """Begin; who follows already gets the book again, as one who fell behind."""
        again = [(line, key, depth) for depth, view in self._views.items() for line, key in view.subscribers]
        for line, key, _ in again:
            line.forget(key)
        self._entering += again
        self._views.clear()
        self._levels, self._spec, self._at = self._loading, stored.spec, stored.at
        self._is_resync = self._is_resync or bool(again)
        self._apply(events)
        answered = max(stored.progress.command_seq, self._follower.position.command_seq if events else 0)
        self._set_whole(is_whole=(events[-1].command if events else stored.last_placed) <= answered)

    def _follow(self, events: Sequence[Event], batch: EventBatch) -> None:
        if self._is_whole and not batch.ends_command:
            for view in self._views.values():
                view.freeze()
        self._apply(events)
        self._set_whole(is_whole=batch.ends_command)

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            self._levels.apply(event)
        if events:
            self._at = events[-1].at

    def _set_whole(self, *, is_whole: bool) -> None:
        """Between two commands, send what has changed and let in who has come; a crossed book is in the middle of one."""
        self._is_whole = is_whole and not self._levels.is_crossed
        if not self._is_whole or self._spec is None:
            return
        changes, time = self._levels.take_changes(), format_timestamp(self._at)
        for view in self._views.values():
            view.follow(changes, self.sequence, time)
        self._best.follow(self._spec, self._levels, self.sequence, time)
        self._let_enter()

    def _let_enter(self) -> None:
        if not self._is_whole or self._spec is None:
            return
        entering, self._entering = self._entering, []
        for line, key, depth in entering:
            view = self._views.get(depth)
            if view is None:
                view = BookView(self._spec, self._levels, depth, self.sequence, format_timestamp(self._at))
                self._views[depth] = view
            line.append(view.resync() if self._is_resync else view.snapshot())
            view.subscribers[line, key] = None
        self._is_resync = False


class BestView:
    """The best bid and ask, as last sent."""

    def __init__(self) -> None:
        self.subscribers: Subscribers = {}
        self.frame = b""
        self._shown: tuple[Level | None, ...] = ()

    def follow(self, spec: MarketSpec, levels: BookLevels, sequence: int, time: str) -> None:
        """Send them if they have changed."""
        best = tuple(next((Level(*each) for each in levels.sides[side].best(1)), None) for side in _BIDS_AND_ASKS)
        if best == self._shown:
            return
        self._shown = best
        bid, ask = (None if level is None else _texts(spec, [level])[0] for level in best)
        self.frame = _encode(
            BestPrices(channel="bbo", market=spec.market, sequence=sequence, time=time, bid=bid, ask=ask)
        )
        LIVE_ENCODED.labels("bbo").inc()
        for line, key in self.subscribers:
            line.replace(key, self.frame)


def _texts(spec: MarketSpec, levels: Iterable[Level]) -> list[tuple[str, str]]:
    return [(price_text(spec, price), quantity_text(spec, lots)) for price, lots in levels]
