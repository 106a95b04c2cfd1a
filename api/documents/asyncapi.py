"""The AsyncAPI 3.0 document of the public fill stream, made of the struct that its records are."""

from typing import Any

import msgspec

from api.documents.openapi import VERSION, JsonObject
from schemas.fills import FILL_SCHEMA_VERSION, PublicFill, encode_fill
from schemas.orders import FillCause, Side

ADDRESS = "fills.{marketId}"
_ABOUT = (
    "Every trade of a perpetual-futures market, once, in order. A record may come more than once, always with the same "
    "bytes: keep the last `sequence` and drop what is not above it. After a gap (a broker that was lost, or a "
    "retention that has passed) read `GET /markets/{marketId}/fills?fromSequence=`, which has every fill since the "
    "first under the same sequence, in the same form. Money, prices and quantities are decimal strings. "
    "Compatibility: within a `schemaVersion` fields are only added, and a `cause` may be: pass over what you do not know."
)
_HEADERS: JsonObject = {
    "type": "object",
    "required": ["eventId", "sequence", "schemaVersion"],
    "properties": {
        "eventId": {"type": "string", "description": "The event that told of the trade, as `eventId` in the body"},
        "sequence": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "`sequence` of the body, in digits"},
        "schemaVersion": {
            "type": "string",
            "const": str(FILL_SCHEMA_VERSION),
            "description": "Another one would mean another meaning",
        },
    },
}
EXAMPLE = PublicFill(
    market_id="BTC-PERP",
    sequence=17,
    trade_id="BTC-PERP-17",
    event_id="BTC-PERP:91",
    time="2027-01-15T12:00:00.000000Z",
    price="60000",
    quantity="0.3",
    notional="18000",
    taker_side=Side.SELL,
    maker_order_id="BTC-PERP-57",
    taker_order_id="BTC-PERP-58",
    cause=FillCause.TRADE,
)


def event_document() -> JsonObject:
    """The whole document."""
    _, components = msgspec.json.schema_components([PublicFill], ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Perpetua", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "Which broker, the operator tells; a local exchange writes it into `DATA/run.json`",
                "variables": {"broker": {"default": "localhost:9092"}},
            }
        },
        "channels": {"fills": _channel()},
        "operations": {"publishFill": _operation()},
        "components": {"messages": {"fill": _message()}, "schemas": components},
    }


def _channel() -> JsonObject:
    return {
        "address": ADDRESS,
        "title": "Public fills of a market",
        "description": "One topic a market, one partition, in the order of the trades.",
        "messages": {"fill": {"$ref": "#/components/messages/fill"}},
        "parameters": {"marketId": {"description": "A market of `GET /markets`", "examples": ["BTC-PERP"]}},
        "bindings": {"kafka": {"topic": ADDRESS, "partitions": 1, "bindingVersion": "0.5.0"}},
    }


def _operation() -> JsonObject:
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/fills"},
        "summary": "The exchange tells of a trade; at least once, in order, without a hole",
        "messages": [{"$ref": "#/channels/fills/messages/fill"}],
    }


def _message() -> JsonObject:
    example: Any = msgspec.json.decode(encode_fill(EXAMPLE))
    headers = {"eventId": EXAMPLE.event_id, "sequence": "17", "schemaVersion": str(FILL_SCHEMA_VERSION)}
    return {
        "name": "fill",
        "title": "Fill",
        "summary": "A trade as everybody may know it: who traded is told by order ids alone",
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {"$ref": "#/components/schemas/PublicFill"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The market's id"}, "bindingVersion": "0.5.0"}},
        "examples": [{"name": "trade", "headers": headers, "payload": example}],
    }
