"""What the exchange sends on the socket about requests and about the connection itself."""

import msgspec

from schemas.live.requests import Channel, RequestId
from schemas.live.subscriptions import BookDepth, Resume
from schemas.rest.api_keys import Scope
from schemas.rest.bodies import TimeText, View
from schemas.rest.market_data import CandleInterval


class Result(View, frozen=True, omit_defaults=True, tag_field="op", tag="result"):
    """The result of a request: the status and body that REST gives. `commandId` is the `X-Command-Id` of REST."""

    status: int
    body: msgspec.Raw
    id: RequestId | None = None
    command_id: str | None = None


class SocketError(View, frozen=True, omit_defaults=True, tag_field="op", tag="error"):
    """A frame that is no request: over 64 KiB, not a JSON object, or with an unknown `op`. Ten in a minute close the connection."""

    code: str
    message: str
    id: RequestId | None = None


class Goodbye(View, frozen=True, omit_defaults=True, tag_field="op", tag="goodbye"):
    """The connection is closed next, with this code; `resume` says from where to subscribe again."""

    code: int
    reason: str
    resume: tuple[Resume, ...] = ()


class AuthView(View, frozen=True):
    """The user of the connection. An API key has scopes; a login may do everything. `expiresAt` is null for a key without an end."""

    user_id: str
    scopes: list[Scope]
    expires_at: TimeText | None


class PongView(View, frozen=True):
    """The time of the exchange."""

    time: TimeText


class SubscriptionView(View, frozen=True, omit_defaults=True):
    """The channel that was named."""

    channel: Channel
    market: str | None = None
    depth: BookDepth | None = None
    interval: CandleInterval | None = None


class Unsubscribed(View, frozen=True, tag_field="op", tag="unsubscribed"):
    """A private channel has ended, because the authorisation has: `auth`, and subscribe again from the last cursor."""

    channel: Channel
    code: str


class EnabledView(View, frozen=True):
    """Whether it is on from now on."""

    enabled: bool
