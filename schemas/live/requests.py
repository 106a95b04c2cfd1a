"""What a client sends on the socket: one struct for each `op`. `order.place` and `order.amend` have the fields of their REST bodies."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.live.subscriptions import BookDepth
from schemas.orders import Side
from schemas.rest.bodies import ClientOrderId, Request
from schemas.rest.market_data import CandleInterval
from schemas.rest.orders import AmendRequest, OrderRequest

RequestId = Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""A client's own name for a request, returned in its result."""
OrderId = Annotated[str, Meta(max_length=64)]


class Envelope(msgspec.Struct, frozen=True):
    """What every request has, whatever else is in it."""

    op: str
    id: RequestId | None = None


class LiveRequest(Request, frozen=True, kw_only=True, tag_field="op"):
    """A request on the socket; it gets one result with the same `id`."""

    id: RequestId | None = None


class Auth(LiveRequest, frozen=True, kw_only=True, tag="auth"):
    """Names the user of the connection: by the token of a login or an API key, whose scopes apply. Again to go on after it expires.

    In place of `token`, `apiKey`, `timestamp` and `signature` have what the header of a signed `GET /ws` would.
    """

    token: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    api_key: Annotated[str, Meta(max_length=19)] | None = None
    timestamp: Annotated[str, Meta(max_length=15)] | None = None
    signature: Annotated[str, Meta(max_length=64)] | None = None


class Ping(LiveRequest, frozen=True, kw_only=True, tag="ping"):
    """Asks for a sign of life, and for the time."""


class Channel(StrEnum):
    """What can be subscribed to: nine public channels of a market, and four private ones of the account."""

    TRADES = "trades"
    BOOK = "book"
    BBO = "bbo"
    MARK = "mark"
    TICKER = "ticker"
    CANDLES = "candles"
    STATUS = "status"
    FUNDING = "funding"
    LIQUIDATIONS = "liquidations"
    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    BALANCES = "balances"


class ChannelRequest(LiveRequest, frozen=True, kw_only=True):
    """Names a channel: `market` is needed by the public ones, `depth` is of `book`, `interval` of `candles`."""

    channel: Channel
    market: Annotated[str, Meta(max_length=64)] | None = None
    depth: BookDepth | None = None
    interval: CandleInterval | None = None


class Subscribe(ChannelRequest, frozen=True, kw_only=True, tag="subscribe"):
    """Begins a subscription. `from` is a sequence of `trades`, `funding` or `liquidations`, or the cursor of a private channel."""

    from_: Annotated[int, Meta(ge=0, le=2**53 - 1)] | Annotated[str, Meta(max_length=32_768)] | None = msgspec.field(
        name="from", default=None
    )


class Unsubscribe(ChannelRequest, frozen=True, kw_only=True, tag="unsubscribe"):
    """Ends a subscription."""


class PlaceOrder(OrderRequest, frozen=True, tag_field="op", tag="order.place"):
    """Places an order: the fields of `POST /orders`."""

    id: RequestId | None = None

    def order(self) -> OrderRequest:
        """The order, without what only the socket needs."""
        return OrderRequest(*msgspec.structs.astuple(self)[:-1])


class CancelOrder(LiveRequest, frozen=True, kw_only=True, tag="order.cancel"):
    """Cancels an order, named by one of its two ids."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None


class AmendOrder(AmendRequest, frozen=True, kw_only=True, tag_field="op", tag="order.amend"):
    """Amends an order: the fields of `PUT /orders/{orderId}`."""

    order_id: OrderId
    id: RequestId | None = None

    def terms(self) -> AmendRequest:
        """The new terms."""
        return AmendRequest(self.quantity, self.price, self.trigger_price)


class CancelAll(LiveRequest, frozen=True, kw_only=True, tag="order.cancel_all"):
    """Cancels every live and waiting order, of one market or all, of one side or both: `DELETE /orders`."""

    market_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    side: Side | None = None


class CancelOnDisconnect(LiveRequest, frozen=True, kw_only=True, tag="cancel_on_disconnect"):
    """Whether the end of the connection cancels the account's orders of the markets that it subscribed or traded."""

    enabled: bool
