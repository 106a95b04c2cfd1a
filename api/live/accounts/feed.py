"""The feed of one account: its events in every market it has traded in, as messages for its connections.

Fills are sent as their events arrive. An order is sent once its row is known: the rows of new orders are read together, and the events
wait for them in their order.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from api.database import Database
from api.live.accounts.account_events import users_of
from api.live.accounts.account_market import AccountMarket, ChangedOrder
from api.live.accounts.cursor import NOWHERE, Place, cursor_of
from api.live.accounts.listening import MarketAccounts
from api.live.accounts.subscriber import Subscriber
from api.live.metrics import LIVE_ENCODED, LIVE_RESTARTS
from broker.errors import BrokerUnavailable
from schemas.events import Event
from schemas.ids import public_command_id
from schemas.live.account_messages import AccountChannel, OrderChanged, OwnFill
from schemas.rest.orders import FillView, OrderView
from store.projection.errors import ChainBroken, EventGap
from store.queries.accounts.live_account import (
    AccountInMarket,
    Span,
    read_account_in_market,
    read_fills_between,
    read_order_rows,
    read_orders_ended_between,
)
from store.session.connect import Session, StoreUnavailable

RETRY_S = 0.2
AT_ONCE_MAX = 10_000
_encode = msgspec.json.Encoder().encode
OUTAGES = (StoreUnavailable, BrokerUnavailable, EventGap, ChainBroken)
"""What passes: the tables or the log are unavailable, or the log has lost what the tables will have soon."""
log = logging.getLogger(__name__)
_Fills = Sequence[tuple[int, FillView]]
_Orders = Sequence[tuple[int, OrderView]]


class _Stored(NamedTuple):
    account: AccountInMarket
    fills: _Fills
    ended: _Orders


class AccountFeed:
    """One account. Markets are entered one by one; `on_touched` is told which of them an event has changed, and up to where."""

    def __init__(self, user: int, database: Database, on_touched: Callable[[str, Place], None]) -> None:
        self.user = user
        self.subscribers: dict[AccountChannel, dict[Subscriber, None]] = {channel: {} for channel in AccountChannel}
        self.markets: dict[str, AccountMarket] = {}
        self._database, self._on_touched = database, on_touched
        self._listening: dict[str, MarketAccounts] = {}
        self._entering: dict[str, list[Event]] = {}
        """Markets that are being entered, and the events that have come meanwhile."""
        self._interrupted: set[str] = set()
        """Those of them whose log has lost events meanwhile."""
        self._inbox: deque[tuple[AccountMarket, Sequence[Event]]] = deque()
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.start(self._work())

    def close(self) -> None:
        """Stop working."""
        for task in self._tasks:
            task.cancel()

    async def enter(self, accounts: MarketAccounts, since: Place | None = None) -> None:
        """Begin in a market: from its tables, then from its log. Subscribers get what is new since a place.

        Raises StoreUnavailable, BrokerUnavailable, ChainBroken, and EventGap while the log has lost what the tables do not have yet.
        """
        market = accounts.follower.market
        held = self._entering[market] = []
        self._listening[market] = accounts
        accounts.add(self.user, self)
        try:
            stored, fills, ended = await self._database.run(lambda session: self._stored(session, market, since))
            events = await accounts.follower.events_since(stored.progress)
            if market in self._interrupted:
                raise BrokerUnavailable(market)
        finally:
            self._interrupted.discard(market)
            del self._entering[market]
        entered = self.markets[market] = AccountMarket(self.user, market, stored)
        self._send_stored(entered, fills, ended, is_live=since is not None)
        self.receive(market, [event for event in events if self.user in users_of(event)])
        self.receive(market, held)
        self._on_touched(market, entered.seen)

    def receive(self, market: str, events: Sequence[Event]) -> None:
        """Events about the account: fills are sent now, orders soon. Those that it has already are passed."""
        if (held := self._entering.get(market)) is not None:
            held.extend(events)
            return
        entered = self.markets[market]
        new = [event for event in events if event.seq > entered.seen.seq]
        if not new:
            return
        for event in new:
            entered.seen = Place(event.seq, event.at)
            for fill in entered.fills_of(event):
                self._send_fill(entered, event.seq, fill, event.command)
        self._inbox.append((entered, new))
        self._waiting[market] += 1
        self._arrived.set()
        self._on_touched(market, entered.seen)

    def interrupted(self, market: str) -> None:
        """The log has lost events, which are in the tables: begin again from there."""
        LIVE_RESTARTS.labels("account").inc()
        if market in self._entering:
            self._interrupted.add(market)
            return
        self.start(self._enter_again(market))

    def places(self, channel: AccountChannel) -> dict[int, Place]:
        """Up to where everything of a channel was sent, by the number of the market."""
        return {entered.market_id: self._place(entered, channel) for entered in self.markets.values()}

    def order_frames(self) -> list[tuple[bytes, str]]:
        """The open orders as messages, each with its cursor."""
        cursor = cursor_of(self.places(AccountChannel.ORDERS))
        return [
            (_encode(OrderChanged("orders", entered.market, entered.place.seq, cursor, view)), cursor)
            for entered in self.markets.values()
            for view in entered.open_orders()
        ]

    async def _stored(self, session: Session, market: str, since: Place | None) -> _Stored:
        """1 the account as of an event, 2 what had changed up to it."""
        stored = await read_account_in_market(session, self.user, market)
        if since is None:
            return _Stored(stored, [], [])
        span = Span(self.user, stored.market_id, since.seq, stored.progress.event_seq, since.at)
        fills = await read_fills_between(session, span, AT_ONCE_MAX)
        return _Stored(stored, fills, await read_orders_ended_between(session, span, AT_ONCE_MAX))

    def _send_stored(self, entered: AccountMarket, fills: _Fills, ended: _Orders, *, is_live: bool) -> None:
        if not is_live:
            return
        for seq, fill in fills:
            self._send_fill(entered, seq, fill)
        for seq, order in [*ended, *((entered.place.seq, view) for view in entered.open_orders())]:
            self._send_order(entered, seq, ChangedOrder(order, None))

    async def _enter_again(self, market: str) -> None:
        """Begin again once what has come is sent, and try until it works."""
        entered, accounts = self.markets[market], self._listening[market]
        while True:
            if not self._waiting[market]:
                with suppress(*OUTAGES):
                    await self.enter(accounts, entered.seen)
                    return
            await asyncio.sleep(RETRY_S)

    async def _work(self) -> None:
        """Send the orders of what has come."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._inbox:
                waiting = list(self._inbox)
                for entered in {each.market: each for each, _ in waiting}.values():
                    await self._learn(
                        entered, [event for each, events in waiting if each is entered for event in events]
                    )
                for _ in waiting:
                    self._send_orders(*self._inbox.popleft())

    async def _learn(self, entered: AccountMarket, events: Sequence[Event]) -> None:
        """Read the rows of orders that are new, however long that takes."""
        numbers = entered.unknown_orders(events)
        while numbers:
            try:
                entered.learn(
                    await self._database.run(
                        lambda session: read_order_rows(session, self.user, entered.market_id, numbers)
                    )
                )
                return
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    def _send_orders(self, entered: AccountMarket, events: Sequence[Event]) -> None:
        for event in events:
            for changed in entered.changed_by(event):
                entered.place = Place(event.seq, event.at)
                self._send_order(entered, event.seq, changed, event.command)
        entered.place = entered.place if entered.place.seq > events[-1].seq else Place(events[-1].seq, events[-1].at)
        entered.forget_ended()
        self._waiting[entered.market] -= 1

    def _send_order(self, entered: AccountMarket, seq: int, changed: ChangedOrder, command: int | None = None) -> None:
        if self.subscribers[AccountChannel.ORDERS]:
            cursor, caused_by = self._cursor(entered, AccountChannel.ORDERS, seq), self._command(entered, command)
            message = OrderChanged(
                "orders", entered.market, seq, cursor, changed.view, caused_by, changed.amend_refused
            )
            self._send(AccountChannel.ORDERS, _encode(message), cursor)

    def _send_fill(self, entered: AccountMarket, seq: int, fill: FillView, command: int | None = None) -> None:
        if self.subscribers[AccountChannel.FILLS]:
            cursor, caused_by = self._cursor(entered, AccountChannel.FILLS, seq), self._command(entered, command)
            message = OwnFill("fills", entered.market, seq, cursor, fill, caused_by)
            self._send(AccountChannel.FILLS, _encode(message), cursor)

    def _send(self, channel: AccountChannel, frame: bytes, cursor: str) -> None:
        LIVE_ENCODED.labels(channel).inc()
        for subscriber in self.subscribers[channel]:
            subscriber.send(frame, cursor)

    def _cursor(self, entered: AccountMarket, channel: AccountChannel, seq: int) -> str:
        """After an event of a market; the time of stored ones is not known here, and an earlier one is as good."""
        places = self.places(channel)
        place = entered.seen if channel is AccountChannel.FILLS else entered.place
        places[entered.market_id] = Place(seq, place.at if seq >= place.seq else NOWHERE.at)
        return cursor_of(places)

    def _place(self, entered: AccountMarket, channel: AccountChannel) -> Place:
        is_settled = channel is AccountChannel.FILLS or not self._waiting[entered.market]
        own = entered.seen if channel is AccountChannel.FILLS else entered.place
        heard = self._listening[entered.market].place
        is_entering = entered.market in self._entering
        return heard if is_settled and not is_entering and heard is not None and heard.seq > own.seq else own

    def _command(self, entered: AccountMarket, command: int | None) -> str | None:
        return None if command is None else public_command_id(entered.market, command)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do something until the feed is closed."""
        task = asyncio.create_task(work, name=f"feed of account {self.user}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug is logged, and ends the connections: they begin again."""
        self._tasks.discard(task)
        if task.cancelled() or (bug := task.exception()) is None:
            return
        log.error("the feed of account %d has failed", self.user, exc_info=bug)
        for subscribers in self.subscribers.values():
            for subscriber in list(subscribers):
                subscriber.line.fail()
