"""The private channels of this process: one feed an account, however many of its connections listen."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import msgspec

from api.database import Database
from api.errors import Refusal, refusal_of, unavailable
from api.live.accounts.cursor import NOWHERE, Place, Places, cursor_of, places_of
from api.live.accounts.feed import OUTAGES, AccountFeed
from api.live.accounts.listening import MarketAccounts
from api.live.accounts.money import AccountMoney, Money
from api.live.accounts.replay import LOOK_EVERY_S, Replay
from api.live.accounts.subscriber import Subscriber, Unmarked
from api.live.followers import Followers
from api.live.outgoing import Outgoing
from api.live.subscription import Subscription
from api.watch.outage_log import note_outage
from schemas.live.account_messages import AccountChannel, AccountSubscribed, Current
from schemas.refusals import ErrorCode
from store.queries.accounts.live_account import AccountSeen, read_accounts_seen
from store.queries.accounts.positions import Ranking
from store.session.connect import StoreUnavailable
from store.submission import Answers, Placed, SubmissionOutcome, SubmissionRequest, SubmitOrder, parts_of

SEEN_EVERY_S = 0.5
CATCHES_UP_WITHIN_S = 5.0
_MONEY = (AccountChannel.POSITIONS, AccountChannel.BALANCES)
_BEHIND = "the exchange has not caught up with the cursor yet; try again shortly"
_encode = msgspec.json.Encoder().encode
log = logging.getLogger(__name__)


class _Served:
    """An account, what it is served by, and for how many subscriptions."""

    def __init__(self, user: int, database: Database, ranking: Callable[[], Ranking]) -> None:
        self.user, self.users = user, 0
        self.feed = AccountFeed(user, database, self._touch)
        self.money = AccountMoney(user, database, ranking, self.feed.subscribers)
        self.feed.start(self.money.work())
        self.seen: AccountSeen | None = None
        self.beginning: asyncio.Task[None] | None = None
        self.entering: set[str] = set()

    def unentered(self) -> list[str]:
        """Markets in which the account trades, and that its feed has not entered."""
        known = self.seen.markets if self.seen is not None else frozenset()
        return sorted(known - set(self.feed.markets) - self.entering)

    def is_new_in(self, markets: Iterable[str]) -> bool:
        """Whether its feed has not begun to enter one of these markets."""
        return any(market not in self.feed.markets and market not in self.entering for market in markets)

    def _touch(self, market: str, place: Place) -> None:
        self.money.touch(market, place)


class LiveAccounts:
    """Feeds begin with the first subscription of an account, and end with its last."""

    def __init__(self, database: Database, followers: Followers, ranking: Callable[[], Ranking]) -> None:
        self._database, self._followers, self._ranking = database, followers, ranking
        self._served: dict[int, _Served] = {}
        self._markets: dict[str, MarketAccounts] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look_now = asyncio.Event()

    async def subscribe(self, user: int, channel: AccountChannel, from_: str | None, line: Outgoing) -> Subscription:
        """Send `subscribed`, then the present state or what has changed, then what happens. Raises Refusal before anything is sent."""
        since = None if from_ is None else places_of(from_)
        served = self._serve(user)
        served.users += 1
        subscriber = Subscriber(channel, line)
        subscription = Subscription(line, subscriber.key, [subscriber.end, lambda: self._leave(served, subscriber)])
        try:
            async with asyncio.timeout(CATCHES_UP_WITHIN_S):
                await self._begun(served)
                await self._begin(served, subscriber, since)
        except (*OUTAGES, TimeoutError) as error:
            subscription.cancel()
            raise _unavailable(error) from error
        except BaseException:
            subscription.cancel()
            raise
        return subscription

    def stored(self, requests: Iterable[SubmissionRequest], outcomes: Iterable[SubmissionOutcome]) -> None:
        """Look now where an account has placed its first order in a market: this process has just stored these requests."""
        for request, outcome in zip(requests, outcomes, strict=True):
            served = self._served.get(request.user)
            if served is not None and served.is_new_in(_markets_placed_in(request, outcome)):
                self._look_now.set()

    @property
    def is_idle(self) -> bool:
        """Whether no account is served, and no market listened to."""
        return not self._served and not self._markets

    async def close(self) -> None:
        """End every feed."""
        for served in list(self._served.values()):
            self._end(served)
        if self._looking is not None:
            self._looking.cancel()

    def _serve(self, user: int) -> _Served:
        served = self._served.get(user)
        if served is None:
            served = self._served[user] = _Served(user, self._database, self._ranking)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again_and_again(), name="look at live accounts")
        return served

    async def _begun(self, served: _Served) -> None:
        """Enter every market that the account has traded in, once for all subscriptions that wait for it."""
        if served.beginning is None or (served.beginning.done() and served.beginning.exception() is not None):
            served.beginning = asyncio.create_task(self._enter_all(served), name=f"begin account {served.user}")
        await asyncio.shield(served.beginning)

    async def _enter_all(self, served: _Served) -> None:
        seen = await self._database.run(lambda session: read_accounts_seen(session, [served.user]))
        account = seen.get(served.user)
        for market in sorted(account.markets) if account is not None else ():
            if market not in served.feed.markets:
                await self._enter(served, market, is_new=False)
        served.seen = account

    async def _enter(self, served: _Served, market: str, *, is_new: bool) -> None:
        accounts = self._markets.get(market)
        if accounts is None:
            follower = await self._followers.acquire(market)
            if market in self._markets:
                self._followers.release(follower)
            accounts = self._markets.setdefault(market, MarketAccounts(follower))
        await served.feed.enter(accounts, NOWHERE if is_new else None)

    async def _begin(self, served: _Served, subscriber: Subscriber, since: Places | None) -> None:
        if subscriber.channel in _MONEY:
            await self._begin_money(served, subscriber, since)
        elif since is None:
            _begin_now(served.feed, subscriber)
        else:
            await self._begin_from(served, subscriber, since)

    async def _begin_money(self, served: _Served, subscriber: Subscriber, since: Places | None) -> None:
        """The balance, or all open positions; with a cursor those closed since too."""
        served.feed.subscribers[subscriber.channel][subscriber] = None
        money = await served.money.read()
        since_or_start = since or {}
        greeting = AccountSubscribed(subscriber.channel, cursor_of(since_or_start))
        subscriber.begin_after(_encode(greeting), since_or_start)
        if subscriber.channel is AccountChannel.BALANCES:
            subscriber.replace(money.balance.asset, served.money.balance_frame(money))
        else:
            markets = None if since is None else _changed_since(money, since)
            for market, position in served.money.position_frames(money, markets):
                subscriber.replace_unmarked(market, position)
        subscriber.replace_unmarked("", Unmarked(_encode(Current(subscriber.channel, "")), money.places))

    async def _begin_from(self, served: _Served, subscriber: Subscriber, since: Places) -> None:
        feed = served.feed
        # another process was faster, or has seen a market before this one
        while _is_ahead(since, feed.places(subscriber.channel)):  # noqa: ASYNC110 - as Replay looks at the tables
            await asyncio.sleep(LOOK_EVERY_S)
        subscriber.hold()
        feed.subscribers[subscriber.channel][subscriber] = None
        replay = Replay(feed, self._database, subscriber, since)
        await replay.persisted()
        cursor = cursor_of(since)
        subscriber.begin(_encode(AccountSubscribed(subscriber.channel, cursor)), cursor)
        subscriber.replaying = feed.start(replay.run())

    def _leave(self, served: _Served, subscriber: Subscriber) -> None:
        served.feed.subscribers[subscriber.channel].pop(subscriber, None)
        served.users -= 1
        if not served.users:
            self._end(served)

    def _end(self, served: _Served) -> None:
        self._served.pop(served.user, None)
        served.feed.close()
        if served.beginning is not None:
            served.beginning.cancel()
        for market, accounts in list(self._markets.items()):
            accounts.accounts.pop(served.user, None)
            if not accounts.accounts:
                accounts.follower.leave(accounts)
                self._followers.release(accounts.follower)
                del self._markets[market]

    async def _look_again_and_again(self) -> None:
        """Find transfers, and markets in which an account trades for the first time: no event tells of them."""
        while self._served:
            with suppress(TimeoutError):
                async with asyncio.timeout(SEEN_EVERY_S):
                    await self._look_now.wait()
            self._look_now.clear()
            with suppress(StoreUnavailable):
                seen = await self._database.run(lambda session: read_accounts_seen(session, list(self._served)))
                for user, account in seen.items():
                    if (served := self._served.get(user)) is not None and served.seen is not None:
                        self._compare(served, served.seen, account)

    def _compare(self, served: _Served, before: AccountSeen, now: AccountSeen) -> None:
        if now.wallet != before.wallet:
            served.money.touch_wallet()
        served.seen = now
        for market in served.unentered():
            served.entering.add(market)
            served.feed.start(self._enter_new(served, market))

    async def _enter_new(self, served: _Served, market: str) -> None:
        while market not in served.feed.markets:
            try:
                await self._enter(served, market, is_new=True)
            except OUTAGES:
                await asyncio.sleep(SEEN_EVERY_S)
        served.entering.discard(market)


def _markets_placed_in(request: SubmissionRequest, outcome: SubmissionOutcome) -> Iterator[str]:
    """The markets of the orders that were stored."""
    outcomes = outcome.outcomes if isinstance(outcome, Answers) else (outcome,)
    for part, stored in zip(parts_of(request), outcomes, strict=False):  # a cancel-all has one part, and many outcomes
        if isinstance(part, SubmitOrder) and isinstance(stored, Placed):
            yield part.request.market_id


def _is_ahead(since: Places, places: Places) -> bool:
    return any(place.seq > places.get(market, NOWHERE).seq for market, place in since.items())


def _begin_now(feed: AccountFeed, subscriber: Subscriber) -> None:
    """The present state, as of where the feed is; what happens next comes next."""
    cursor = cursor_of(feed.places(subscriber.channel))
    subscriber.begin(_encode(AccountSubscribed(subscriber.channel, cursor)), cursor)
    if subscriber.channel is AccountChannel.ORDERS:
        for frame, at in feed.order_frames():
            subscriber.append(frame, at)
    subscriber.append(_encode(Current(subscriber.channel, cursor)), cursor)
    feed.subscribers[subscriber.channel][subscriber] = None


def _changed_since(money: Money, since: Places) -> dict[str, int]:
    """The markets of which there may be something new."""
    return {
        name: market.event_seq
        for name, market in money.reached.items()
        if market.event_seq > since.get(market.market_id, NOWHERE).seq
    }


def _unavailable(error: Exception) -> Refusal:
    if isinstance(error, StoreUnavailable):
        note_outage(error)
        return refusal_of(unavailable(outcome_is_unknown=False))
    return Refusal(ErrorCode.UNAVAILABLE, _BEHIND)
