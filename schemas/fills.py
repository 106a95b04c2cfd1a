"""The public fill stream `fills.{marketId}`: one record per trade, for external consumers (source of asyncapi.json).

Key: the market. Headers: schemas/record_headers.py. `sequence` is the market's trade counter, without gaps;
a record may arrive more than once, always with the same bytes, so a consumer that keeps the last sequence sees each once.
Compatibility: within a `schemaVersion` fields are only added, after the others, never removed or given another meaning;
a cause may be added. tests/schemas/golden holds the bytes of each version.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.events import Event, PositionTransferred, TradeExecuted
from schemas.ids import public_event_id, public_order_id, public_trade_id
from schemas.market import MarketSpec
from schemas.orders import FillCause, Side
from schemas.record_headers import Headers, record_headers
from schemas.rest.bodies import TimeText
from schemas.topics import fills_topic
from schemas.units import format_e18, format_micros, format_timestamp

FILL_SCHEMA_VERSION = 1

Sequence = Annotated[int, Meta(ge=1, description="The market's trade counter: 1, 2, 3, … without a hole")]
OrderId = Annotated[str | None, Meta(description="null for a take-over and a deleveraging, which have no orders")]


class PublicFill(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A trade as the public sees it: its parties are named by order ids only.

    A take-over by the insurance fund or a deleveraging (`cause`) has no orders; its notional is the amount it
    settled at, and its price is derived from that.
    """

    market_id: str
    sequence: Sequence
    trade_id: str
    event_id: str
    time: Annotated[TimeText, Meta(description="When it was matched, ISO 8601 UTC with microseconds")]
    price: Annotated[str, Meta(description="Quote for one of the base asset, the maker's")]
    quantity: Annotated[str, Meta(description="Of the base asset")]
    notional: Annotated[str, Meta(description="Price times quantity; below zero only where a take-over's amount is")]
    taker_side: Annotated[
        Side, Meta(description="Side of the order that came second, or of the account that is closed")
    ]
    maker_order_id: OrderId
    taker_order_id: OrderId
    cause: FillCause
    schema_version: int = FILL_SCHEMA_VERSION


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PublicFill)

encode_fill = _encoder.encode
"""A fill as the bytes of its record; the same fill always gives the same bytes."""


def decode_fill(body: bytes) -> PublicFill:
    """Read one record; raises msgspec.DecodeError for what is not a fill."""
    return _decoder.decode(body)


def fill_headers(fill: PublicFill) -> Headers:
    """The headers of a fill's record, which a consumer can filter by without reading the body."""
    return record_headers("fill", fills_topic(fill.market_id), fill)


def fills_of_events(spec: MarketSpec, events: Iterable[Event | None]) -> Iterator[PublicFill]:
    """The fills of the trades and transfers among some events."""
    for event in events:
        match event:
            case TradeExecuted():
                yield fill_of_trade(spec, event)
            case PositionTransferred():
                yield fill_of_transfer(spec, event)


def fill_of_trade(spec: MarketSpec, trade: TradeExecuted) -> PublicFill:
    """The fill of a trade between two orders."""
    market = spec.market
    return PublicFill(
        market_id=market,
        sequence=trade.trade,
        trade_id=public_trade_id(market, trade.trade),
        event_id=public_event_id(market, trade.seq),
        time=format_timestamp(trade.at),
        price=format_e18(trade.price * spec.tick_size_e18),
        quantity=format_e18(trade.quantity * spec.lot_size_e18),
        notional=format_micros(trade.notional),
        taker_side=trade.taker_side,
        maker_order_id=public_order_id(market, trade.maker.order),
        taker_order_id=public_order_id(market, trade.taker.order),
        cause=trade.cause,
    )


def fill_of_transfer(spec: MarketSpec, moved: PositionTransferred) -> PublicFill:
    """The fill of a position that changed hands without the book."""
    market = spec.market
    return PublicFill(
        market_id=market,
        sequence=moved.trade,
        trade_id=public_trade_id(market, moved.trade),
        event_id=public_event_id(market, moved.seq),
        time=format_timestamp(moved.at),
        price=format_e18(moved.price * spec.tick_size_e18),
        quantity=format_e18(moved.quantity * spec.lot_size_e18),
        notional=format_micros(-moved.closing_side.sign * moved.amount),
        taker_side=moved.closing_side,
        maker_order_id=None,
        taker_order_id=None,
        cause=moved.cause,
    )
