"""The channels `ticker` and `candles`: what REST shows, read again when the market has changed (api/live/feeds/poller.py)."""

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime

import msgspec

from api.live.feeds.subscribers import Line, Subscribers
from api.live.metrics import LIVE_ENCODED
from api.live.outgoing import Key
from schemas.live.market_messages import Candle, MarketMessage, Ticker
from schemas.refusals import Refused
from schemas.rest.market_data import CandleInterval, CandleView, TickerView
from schemas.units import SECOND_US, Timestamp, timestamp_of
from store.queries.market_data.candles import list_candles
from store.queries.market_data.live_progress import SeenMarket
from store.queries.market_data.ticker import read_ticker
from store.queries.paging import ListRequest
from store.session.connect import Session

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


def _frame(message: MarketMessage) -> bytes:
    LIVE_ENCODED.labels(message.channel).inc()
    return _encode(message)


def _facts(view: TickerView | None) -> TickerView | None:
    """The ticker without the event as of which it is."""
    return None if view is None else msgspec.structs.replace(view, sequence=0, time="")
