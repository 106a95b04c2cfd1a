"""The channels `mark` and `status`: from the log, before the tables have it."""

from collections.abc import Sequence

import msgspec

from api.database import Database
from api.live.feeds.feed import Feed
from api.live.feeds.pacing import Paced
from api.live.feeds.subscribers import Line, Subscribers
from api.live.market_follower import EventBatch, MarketFollower
from api.live.metrics import LIVE_ENCODED
from api.live.outgoing import Key
from exchange.market_data.market_state import MarketState
from schemas.events import Event
from schemas.live.market_messages import Mark, MarkView, Status
from schemas.market import MarketSpec, MarketStatus
from schemas.units import Timestamp, format_rate_e9, format_timestamp
from store.queries.formatting import index_text, price_text, rate_text_or_none
from store.queries.market_data.live_market import StoredMarket, read_live_market
from store.session.connect import Session

_encode = msgspec.json.Encoder().encode


class MarketStateFeed(Feed[StoredMarket]):
    """Status, mark, index and funding rates of a market."""

    channel = "mark"

    def __init__(self, follower: MarketFollower, database: Database) -> None:
        super().__init__(follower, database)
        self._spec: MarketSpec | None = None
        self._state: MarketState | None = None
        self._at = Timestamp(0)
        self._of_mark: Subscribers = {}
        self._of_status: Subscribers = {}
        self._shown_mark: MarkView | None = None
        self._shown_status: MarketStatus | None = None
        self._pace = Paced(self._send_mark)

    def subscribe_mark(self, line: Line, key: Key) -> None:
        """Send the mark, now and on change; call `begin` before."""
        self._of_mark[line, key] = None
        line.replace(key, self._mark_frame())

    def subscribe_status(self, line: Line, key: Key) -> None:
        """Send the status, now and on change; call `begin` before."""
        self._of_status[line, key] = None
        line.append(self._status_frame())

    def leave(self, line: Line, key: Key) -> None:
        """Send no more to this subscription."""
        self._of_mark.pop((line, key), None)
        self._of_status.pop((line, key), None)

    def close(self) -> None:
        """Follow no more."""
        super().close()
        self._pace.cancel()

    @property
    def has_status_subscribers(self) -> bool:
        """Whether somebody follows the status."""
        return bool(self._of_status)

    def stored_status(self, status: MarketStatus, event_seq: int) -> None:
        """The status in the tables as of an event: a market that is quarantined is HALTED there, and its log ends."""
        if self._state is not None and event_seq >= self.sequence and status is not self._state.status:
            self._state = self._state._replace(status=status)
            self._send_status()

    async def _read(self, session: Session) -> StoredMarket | None:
        return await read_live_market(session, self.market)

    def _start(self, stored: StoredMarket, events: Sequence[Event]) -> None:
        self._spec, self._state, self._at = stored.spec, stored.state, stored.at
        self._apply(events)

    def _follow(self, events: Sequence[Event], batch: EventBatch) -> None:  # noqa: ARG002 - the events are enough
        self._apply(events)

    def _apply(self, events: Sequence[Event]) -> None:
        state, spec = self._present
        for event in events:
            state = state.after(event, spec.funding_interval_us)
            self._at = event.at
        self._state = state
        self._send_status()
        if self._mark_view() != self._shown_mark:
            self._pace.touch()

    @property
    def _present(self) -> tuple[MarketState, MarketSpec]:
        assert self._state is not None, "begun"  # noqa: S101 - a bug of ours, not a user's doing
        assert self._spec is not None, "begun"  # noqa: S101 - as above
        return self._state, self._spec

    def _send_status(self) -> None:
        state, _ = self._present
        if state.status is self._shown_status:
            return
        self._shown_status = state.status
        frame = self._status_frame()
        for line, _ in self._of_status:
            line.append(frame)

    def _send_mark(self) -> None:
        if self._mark_view() == self._shown_mark:
            return
        self._shown_mark, frame = self._mark_view(), self._mark_frame()
        for line, key in self._of_mark:
            line.replace(key, frame)

    def _mark_view(self) -> MarkView:
        state, spec = self._present
        return MarkView(
            mark_price=price_text(spec, state.mark),
            index_price=index_text(state.index_price),
            funding_rate=format_rate_e9(state.funding_rate),
            predicted_funding_rate=rate_text_or_none(state.predicted_funding_rate),
            next_funding_time=None if state.next_funding_at is None else format_timestamp(state.next_funding_at),
        )

    def _mark_frame(self) -> bytes:
        LIVE_ENCODED.labels("mark").inc()
        view, time = self._mark_view(), format_timestamp(self._at)
        return _encode(Mark(channel="mark", market=self.market, sequence=self.sequence, time=time, data=view))

    def _status_frame(self) -> bytes:
        LIVE_ENCODED.labels("status").inc()
        state, time = self._present[0], format_timestamp(self._at)
        status = Status(channel="status", market=self.market, sequence=self.sequence, time=time, status=state.status)
        return _encode(status)
