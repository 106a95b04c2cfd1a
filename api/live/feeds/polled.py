"""The channels `ticker` and `candles`: what REST shows, read again when the market has changed, at most five times a second.

One task reads for all, one thing after the other; without subscribers there is none.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from api.database import Database
from api.live.failures import report_failure
from api.live.feeds.pacing import EVERY_S
from api.live.feeds.subscribers import Key, Line, Subscribers
from api.live.metrics import LIVE_ENCODED
from api.watch.outage_log import note_outage
from schemas.live.market_messages import Candle, MarketMessage, Ticker
from schemas.refusals import Refused
from schemas.rest.market_data import CandleInterval, CandleView, TickerView
from schemas.units import SECOND_US, Timestamp, timestamp_of
from store.queries.market_data.candles import list_candles
from store.queries.market_data.live_progress import SeenMarket, read_seen_markets
from store.queries.market_data.ticker import read_ticker
from store.queries.paging import ListRequest
from store.session.connect import Session, StoreUnavailable

OUTAGE_AGAIN_S = 0.5
CANDLES_MAX = 500
CLOSES_AFTER_US = 2 * SECOND_US

_encode = msgspec.json.Encoder().encode


class PolledView(ABC):
    """One view of a market and its subscribers. `sequence` is the event as of which it was read last."""

    channel: str

    def __init__(self, market: str) -> None:
        self.market = market
        self.sequence = 0
        self.subscribers: Subscribers = {}
        self.beginning: asyncio.Task[bool] | None = None

    @abstractmethod
    async def read(self, session: Session, seen: SeenMarket) -> bool:
        """Read it, as of what was seen or later; False where there is no such market."""

    @abstractmethod
    def greet(self, line: Line, key: Key) -> None:
        """Send the present value, if there is one."""

    @abstractmethod
    def send(self) -> None:
        """Send what the last read has changed."""


class TickerPolled(PolledView):
    """The ticker of a market."""

    channel = "ticker"

    def __init__(self, market: str) -> None:
        super().__init__(market)
        self._view: TickerView | None = None
        self._shown: TickerView | None = None

    async def read(self, session: Session, seen: SeenMarket) -> bool:
        """Read the ticker."""
        view = await read_ticker(session, self.market)
        if view is not None:
            self._view, self.sequence = view, max(seen.event_seq, view.sequence)
        return view is not None

    def greet(self, line: Line, key: Key) -> None:
        """Send the ticker."""
        if self._view is not None:
            line.replace(key, self._frame(self._view))

    def send(self) -> None:
        """Send it, unless only its sequence and time have changed."""
        if self._view is None or _facts(self._view) == _facts(self._shown):
            return
        self._shown, frame = self._view, self._frame(self._view)
        for line, key in self.subscribers:
            line.replace(key, frame)

    def _frame(self, view: TickerView) -> bytes:
        return _frame(Ticker(channel="ticker", market=self.market, sequence=view.sequence, data=view))


class CandlesPolled(PolledView):
    """The candles of a market, of one length: each change of those that may still change, and each that closes, once.

    A trade may carry a time a little before that of the event before it: clocks differ. So a candle closes two seconds of the market
    after its end, and may change until then.
    """

    channel = "candles"

    def __init__(self, market: str, interval: CandleInterval) -> None:
        super().__init__(market)
        self.interval = interval
        self._now = Timestamp(0)
        self._found: list[CandleView] = []
        self._shown: dict[str, CandleView] = {}
        """By their time, those that are not closed."""
        self._is_begun = False

    async def read(self, session: Session, seen: SeenMarket) -> bool:
        """Read the candles that are not closed, all of a market that had none; at first only the newest."""
        since = timestamp_of(datetime.fromisoformat(min(self._shown))) if self._shown else None
        all_since = ListRequest(limit=CANDLES_MAX, from_=since, is_oldest_first=True)
        asked = all_since if self._is_begun else ListRequest(limit=1)
        page = await list_candles(session, self.market, self.interval, asked)
        if page is None or isinstance(page, Refused):
            return False
        if not self._is_begun:
            self._shown = {candle.time: candle for candle in page.data}
        self._is_begun = True
        self._found, self._now = page.data, seen.at
        if not page.next_cursor or asked is not all_since:
            self.sequence = seen.event_seq
        return True

    def greet(self, line: Line, key: Key) -> None:
        """Send the open candle, if the market has traded."""
        if self._shown:
            line.replace(key, self._frame(self._shown[max(self._shown)], closed=False))

    def send(self) -> None:
        """Send the candles that have changed, and those that have closed."""
        for candle in self._found:
            if candle is not self._found[-1] and self._is_over(candle):
                self._shown.pop(candle.time, None)
                self._send_closed(candle)
            elif self._shown.get(candle.time) != candle:
                self._shown[candle.time] = candle
                frame = self._frame(candle, closed=False)
                for line, key in self.subscribers:
                    line.replace(key, frame)

    def _is_over(self, candle: CandleView) -> bool:
        began = timestamp_of(datetime.fromisoformat(candle.time))
        return self._now >= began + self.interval.seconds * SECOND_US + CLOSES_AFTER_US

    def _send_closed(self, candle: CandleView) -> None:
        frame = self._frame(candle, closed=True)
        for line, key in self.subscribers:
            line.forget(key)  # what waits of it from when it was open
            line.append(frame)

    def _frame(self, candle: CandleView, *, closed: bool) -> bytes:
        message = Candle(
            channel="candles",
            market=self.market,
            interval=self.interval,
            sequence=self.sequence,
            data=candle,
            closed=closed,
        )
        return _frame(message)


class Poller:
    """Reads every view that has subscribers. `status_markets` names the markets whose stored status `on_seen` wants to know."""

    def __init__(
        self,
        database: Database,
        status_markets: Callable[[], Iterable[str]],
        on_seen: Callable[[Mapping[str, SeenMarket]], None],
    ) -> None:
        self._database = database
        self._status_markets = status_markets
        self._on_seen = on_seen
        self._views: dict[Key, PolledView] = {}
        self._polling: asyncio.Task[None] | None = None

    async def subscribe(self, line: Line, key: Key, make: Callable[[], PolledView], greet: bytes) -> None:
        """Send `greet`, the present value, and its changes. Raises KeyError for no market, StoreUnavailable."""
        view = self._views.setdefault(key, make())
        if view.beginning is None:
            view.beginning = asyncio.create_task(self._begin(view))
        try:
            if not await asyncio.shield(view.beginning):
                raise KeyError(view.market)
        except (KeyError, StoreUnavailable):
            if self._views.get(key) is view and not view.subscribers:
                del self._views[key]
            raise
        self._views.setdefault(key, view)
        line.append(greet)
        view.greet(line, key)
        view.subscribers[line, key] = None
        self.poll()

    def leave(self, line: Line, key: Key) -> None:
        """Send no more to this subscription."""
        view = self._views.get(key)
        if view is not None:
            view.subscribers.pop((line, key), None)
            if not view.subscribers:
                del self._views[key]

    def poll(self) -> None:
        """Look at the tables as long as there is something to look for."""
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name="live polling")
            self._polling.add_done_callback(report_failure)

    async def close(self) -> None:
        """Read no more."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    async def _poll(self) -> None:
        while markets := {view.market for view in self._views.values()}.union(self._status_markets()):
            await asyncio.sleep(EVERY_S)
            try:
                seen = await self._database.run(lambda session, names=markets: read_seen_markets(session, names))  # type: ignore[misc]
                self._on_seen(seen)
                for view in list(self._views.values()):
                    now = seen.get(view.market)
                    if now is not None and now.event_seq > view.sequence and view.subscribers:
                        await self._read(view, now)
                        view.send()
            except StoreUnavailable as error:
                note_outage(error)
                await asyncio.sleep(OUTAGE_AGAIN_S)

    async def _begin(self, view: PolledView) -> bool:
        async def read(session: Session) -> bool:
            seen = (await read_seen_markets(session, [view.market])).get(view.market)
            return seen is not None and await view.read(session, seen)

        return await self._database.run(read)

    async def _read(self, view: PolledView, seen: SeenMarket) -> bool:
        return await self._database.run(lambda session: view.read(session, seen))


def _frame(message: MarketMessage) -> bytes:
    LIVE_ENCODED.labels(message.channel).inc()
    return _encode(message)


def _facts(view: TickerView | None) -> TickerView | None:
    """The ticker without the event as of which it is."""
    return None if view is None else msgspec.structs.replace(view, sequence=0, time="")
