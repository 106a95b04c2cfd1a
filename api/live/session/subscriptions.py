"""Subscribing to channels, and ending that."""

from api.bodies import BodyReader
from api.errors import Refusal
from api.live.channels import key_of
from api.live.live_feeds import LiveFeeds
from api.live.outgoing import Key
from api.live.session.operation import Operation
from api.live.session.replies import Reply, ok
from api.live.session.session import Session
from schemas.live.account_messages import AccountChannel
from schemas.live.answers import SubscriptionView
from schemas.live.requests import Channel, ChannelRequest, Subscribe, Unsubscribe
from schemas.live.subscriptions import MarketChannel, MarketParameters
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope

SUBSCRIPTIONS_MAX = 200
_NO_LOGS = "this process does not read the logs of the exchange: it has no BROKER_URL"


async def subscribe(session: Session, asked: Subscribe) -> Reply:
    """Begin to send a channel; refused before anything of it was sent."""
    key, feeds = _key(asked), _feeds(session)
    if len(session.subscriptions) >= SUBSCRIPTIONS_MAX:
        details = {"limit": "subscriptions", "max": SUBSCRIPTIONS_MAX}
        raise Refusal(ErrorCode.RATE_LIMITED, "too many subscriptions of this connection: end one", details)
    if key in session.subscriptions:
        raise Refusal(ErrorCode.INVALID_REQUEST, "the connection has this subscription already", {"field": "channel"})
    if asked.channel in PRIVATE:
        await session.caller(Scope.READ)
        await _subscribe_account(session, feeds, key, asked)
    else:
        await _subscribe_market(session, feeds, key, asked)
    return ok(_view(asked))


async def unsubscribe(session: Session, asked: Unsubscribe) -> Reply:
    """Send nothing more of a channel."""
    key = _key(asked)
    if key not in session.subscriptions:
        raise Refusal(ErrorCode.INVALID_REQUEST, "the connection has no such subscription", {"field": "channel"})
    session.unsubscribe(key)
    return ok(_view(asked))


PRIVATE = frozenset(Channel(channel) for channel in AccountChannel)


async def _subscribe_account(session: Session, feeds: LiveFeeds, key: Key, asked: Subscribe) -> None:
    if isinstance(asked.from_, int):
        raise _misfit("from", "from must be the cursor of a message of this channel")
    channel = AccountChannel(asked.channel)
    session.add(
        key, await feeds.accounts.subscribe(session.owner, channel, asked.from_, session.outgoing), is_private=True
    )


async def _subscribe_market(session: Session, feeds: LiveFeeds, key: Key, asked: Subscribe) -> None:
    if isinstance(asked.from_, str):
        raise _misfit("from", "from must be a sequence")
    channel, parameters = MarketChannel(asked.channel), _parameters(asked, asked.from_)
    session.add(key, await feeds.channels.subscribe(channel, parameters, session.outgoing))
    session.trades_in(parameters.market)


def _key(asked: ChannelRequest) -> Key:
    if asked.channel not in PRIVATE:
        return key_of(MarketChannel(asked.channel), _parameters(asked))
    for name, value in (("market", asked.market), ("depth", asked.depth), ("interval", asked.interval)):
        if value is not None:
            raise _misfit(name, f"the channel {asked.channel} has no {name}: it is of the account")
    return (str(asked.channel),)


def _parameters(asked: ChannelRequest, from_: int | None = None) -> MarketParameters:
    if asked.market is None:
        raise _misfit("market", f"market is missing: the channel {asked.channel} is of a market")
    return MarketParameters(asked.market, asked.depth, asked.interval, from_)


def _feeds(session: Session) -> LiveFeeds:
    feeds = session.services.live
    if feeds is None:
        raise Refusal(ErrorCode.UNAVAILABLE, _NO_LOGS)
    return feeds


def _view(asked: ChannelRequest) -> SubscriptionView:
    return SubscriptionView(asked.channel, asked.market, asked.depth, asked.interval)


def _misfit(field: str, message: str) -> Refusal:
    return Refusal(ErrorCode.INVALID_REQUEST, message, {"field": field})


OPERATIONS: tuple[Operation[Session], ...] = (
    Operation("subscribe", BodyReader(Subscribe), subscribe, None),
    Operation("unsubscribe", BodyReader(Unsubscribe), unsubscribe, None),
)
