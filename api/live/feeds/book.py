"""The channels `book` and `bbo`: the levels of a book, exact as of an event, and their changes."""

from asyncio import sleep
from collections.abc import Sequence

from api.database import Database
from api.live.feeds.book_view import BestView, BookView
from api.live.feeds.feed import Feed
from api.live.feeds.subscribers import Line
from api.live.market_follower import EventBatch, MarketFollower
from api.live.outgoing import Key
from exchange.market_data.book_levels import BookLevels
from schemas.events import Event
from schemas.live.subscriptions import BookDepth
from schemas.market import MarketSpec
from schemas.units import Timestamp, format_timestamp
from store.queries.market_data.live_market import StoredOrders, read_resting_orders
from store.session.connect import Session

LOADED_AT_ONCE = 5_000


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
