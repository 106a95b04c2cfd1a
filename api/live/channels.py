"""The public channels of this process: who subscribes to what. A subscriber gets references to messages that are encoded once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from api.database import Database
from api.errors import Refusal, refusal_of, unavailable
from api.live.feeds.book import BookFeed
from api.live.feeds.market_state import MarketStateFeed
from api.live.feeds.polled import CandlesPolled, PolledView, TickerPolled
from api.live.feeds.poller import Poller
from api.live.feeds.replay import Replay
from api.live.feeds.replayed import FundingFeed, LiquidationsFeed, ReplayedFeed, TradesFeed
from api.live.feeds.subscribers import Line
from api.live.followers import Followers
from api.live.market_follower import MarketFollower
from api.live.outgoing import Key
from api.live.subscription import Subscription
from api.paths import no_such_market, shown_text
from api.watch.outage_log import note_outage
from broker.errors import BrokerUnavailable
from schemas.live.market_messages import Subscribed
from schemas.live.subscriptions import BOOK_DEPTH_DEFAULT, MarketChannel, MarketParameters
from schemas.refusals import ErrorCode
from schemas.rest.market_data import CandleInterval
from store.projection.errors import ChainBroken
from store.queries.market_data.live_progress import SeenMarket
from store.session.connect import StoreUnavailable

REPLAYS_AT_ONCE = 2
MARKET_LENGTH_MAX = 64
_NO_LOG = "the exchange cannot read the log of the market; try again shortly"
_encode = msgspec.json.Encoder().encode


class MarketFeeds(NamedTuple):
    """The feeds that follow the log of one market; each begins with its first subscriber."""

    book: BookFeed
    state: MarketStateFeed
    trades: TradesFeed
    liquidations: LiquidationsFeed
    funding: FundingFeed

    def replayed(self, channel: MarketChannel) -> ReplayedFeed:
        """The feed of a channel that can be replayed."""
        feeds: Mapping[MarketChannel, ReplayedFeed] = {
            MarketChannel.TRADES: self.trades,
            MarketChannel.LIQUIDATIONS: self.liquidations,
            MarketChannel.FUNDING: self.funding,
        }
        return feeds[channel]


class LiveChannels:
    """The public channels. `followers` read the logs, for private channels too."""

    def __init__(self, database: Database, followers: Followers) -> None:
        self.followers = followers
        self._database = database
        self._feeds: dict[MarketFollower, MarketFeeds] = {}
        self._poller = Poller(database, self._status_markets, self._on_seen)
        self._turns = asyncio.Semaphore(REPLAYS_AT_ONCE)
        followers.on_close = self._forget

    async def subscribe(self, channel: MarketChannel, parameters: MarketParameters, line: Line) -> Subscription:
        """Send `subscribed`, then what the channel shows. Raises Refusal, with the code that REST has, before anything is sent."""
        _check(channel, parameters)
        market = parameters.market
        if len(market) > MARKET_LENGTH_MAX or not (market.isascii() and market.isprintable()):
            raise no_such_market(shown_text(market))
        try:
            if channel in {MarketChannel.TICKER, MarketChannel.CANDLES}:
                return await self._poll(channel, parameters, line)
            return await self._follow(channel, parameters, line)
        except KeyError as error:
            raise no_such_market(market) from error
        except StoreUnavailable as outage:
            note_outage(outage)
            raise refusal_of(unavailable(outcome_is_unknown=outage.outcome_is_unknown)) from outage
        except (BrokerUnavailable, ChainBroken) as error:
            raise Refusal(ErrorCode.UNAVAILABLE, _NO_LOG, {"marketId": market}) from error

    async def close(self) -> None:
        """Follow nothing any more."""
        await self._poller.close()
        await self.followers.close()

    async def _poll(self, channel: MarketChannel, asked: MarketParameters, line: Line) -> Subscription:
        key, interval = key_of(channel, asked), asked.interval or CandleInterval.MINUTE

        def make() -> PolledView:
            if channel is MarketChannel.TICKER:
                return TickerPolled(asked.market)
            return CandlesPolled(asked.market, interval)

        await self._poller.subscribe(line, key, make, _greeting(channel, asked))
        return Subscription(line, key, [lambda: self._poller.leave(line, key)])

    async def _follow(self, channel: MarketChannel, asked: MarketParameters, line: Line) -> Subscription:
        follower = await self.followers.acquire(asked.market)
        try:
            await follower.check()
            end = await self._enter(self._feeds_of(follower), channel, asked, line)
        except BaseException:
            self.followers.release(follower)
            raise
        return Subscription(line, key_of(channel, asked), [end, lambda: self.followers.release(follower)])

    async def _enter(
        self, feeds: MarketFeeds, channel: MarketChannel, asked: MarketParameters, line: Line
    ) -> Callable[[], None]:
        """Subscribe to a feed; returns what ends that."""
        key = key_of(channel, asked)
        match channel:
            case MarketChannel.BOOK | MarketChannel.BBO:
                await feeds.book.begin()
                line.append(_greeting(channel, asked))
                if channel is MarketChannel.BOOK:
                    feeds.book.subscribe_book(line, key, asked.depth or BOOK_DEPTH_DEFAULT)
                else:
                    feeds.book.subscribe_best(line, key)
                return lambda: feeds.book.leave(line, key)
            case MarketChannel.MARK | MarketChannel.STATUS:
                await feeds.state.begin()
                line.append(_greeting(channel, asked))
                if channel is MarketChannel.MARK:
                    feeds.state.subscribe_mark(line, key)
                else:
                    feeds.state.subscribe_status(line, key)
                    self._poller.poll()
                return lambda: feeds.state.leave(line, key)
            case _:
                return await self._enter_replayed(feeds.replayed(channel), channel, asked, line)

    async def _enter_replayed(
        self, feed: ReplayedFeed, channel: MarketChannel, asked: MarketParameters, line: Line
    ) -> Callable[[], None]:
        key = key_of(channel, asked)
        await feed.begin()
        if asked.from_ is None:
            line.append(_greeting(channel, asked, feed.last))
            line.resume_at(key, feed.resume_after(feed.last))
            feed.subscribe(line, key)
            return lambda: feed.leave(line, key)
        replay = Replay(feed, line, key, asked.from_)
        await replay.begin(_greeting(channel, asked, max(0, asked.from_ - 1)))

        def end() -> None:
            replay.cancel()
            feed.leave(line, key)

        return end

    def _feeds_of(self, follower: MarketFollower) -> MarketFeeds:
        feeds = self._feeds.get(follower)
        if feeds is None:
            part, turns = (follower, self._database), self._turns
            feeds = self._feeds[follower] = MarketFeeds(
                BookFeed(*part),
                MarketStateFeed(*part),
                TradesFeed(*part, turns),
                LiquidationsFeed(*part, turns),
                FundingFeed(*part, turns),
            )
        return feeds

    def _forget(self, follower: MarketFollower) -> None:
        for feed in self._feeds.pop(follower, ()):
            feed.close()

    def _status_markets(self) -> list[str]:
        return [follower.market for follower, feeds in self._feeds.items() if feeds.state.has_status_subscribers]

    def _on_seen(self, seen: Mapping[str, SeenMarket]) -> None:
        for follower, feeds in self._feeds.items():
            market = seen.get(follower.market)
            if market is not None:
                feeds.state.stored_status(market.status, market.event_seq)


def key_of(channel: MarketChannel, parameters: MarketParameters) -> Key:
    """What names a subscription among those of a connection."""
    match channel:
        case MarketChannel.BOOK:
            return (channel, parameters.market, str(parameters.depth or BOOK_DEPTH_DEFAULT))
        case MarketChannel.CANDLES:
            return (channel, parameters.market, parameters.interval or CandleInterval.MINUTE)
        case _:
            return (channel, parameters.market)


def _check(channel: MarketChannel, parameters: MarketParameters) -> None:
    """Refuse a parameter that the channel does not have."""
    is_of = {
        "depth": (parameters.depth, channel is MarketChannel.BOOK),
        "interval": (parameters.interval, channel is MarketChannel.CANDLES),
        "from": (parameters.from_, channel.can_replay),
    }
    for name, (value, is_taken) in is_of.items():
        if value is not None and not is_taken:
            raise Refusal(ErrorCode.INVALID_REQUEST, f"the channel {channel} has no {name}", {"field": name})


def _greeting(channel: MarketChannel, asked: MarketParameters, sequence: int | None = None) -> bytes:
    return _encode(
        Subscribed(
            channel=channel,
            market=asked.market,
            depth=(asked.depth or BOOK_DEPTH_DEFAULT) if channel is MarketChannel.BOOK else None,
            interval=(asked.interval or CandleInterval.MINUTE) if channel is MarketChannel.CANDLES else None,
            sequence=sequence,
        )
    )
