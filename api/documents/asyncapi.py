"""The AsyncAPI 3.1 document of the public fill stream and of the socket, generated from the structs of their messages."""

from typing import Any

import msgspec

from api.documents.asyncapi_socket import socket_channel, socket_components, socket_operations
from api.documents.json_schema import JsonObject, schemas_of
from api.documents.openapi import VERSION
from schemas.fills import FILL_SCHEMA_VERSION, PublicFill, encode_fill
from schemas.orders import FillCause, Side

ADDRESS = "fills.{marketId}"
_ABOUT = (
    "The public fill stream (Kafka) and the socket (WebSocket). `docs/consume.md` and `docs/live.md` explain them. "
)
_FILLS = (
    "Every trade of a perpetual-futures market, in order. Delivery is at least once: a record can arrive again, always "
    "with the same bytes, so keep the last `sequence` and drop records that are not above it. After a gap (a lost broker, "
    "or records past their retention) read `GET /markets/{marketId}/fills?fromSequence=`, which has every fill since the "
    "first under the same sequence, in the same form. Money, prices and quantities are decimal strings. "
    "Compatibility: within a `schemaVersion`, fields and values of `cause` are only added: ignore those you do not know."
)
_HEADERS: JsonObject = {
    "type": "object",
    "required": ["eventId", "sequence", "schemaVersion"],
    "properties": {
        "eventId": {"type": "string", "description": "The event that reported the trade, as `eventId` in the body"},
        "sequence": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "`sequence` of the body, in digits"},
        "schemaVersion": {
            "type": "string",
            "const": str(FILL_SCHEMA_VERSION),
            "description": "Changes when fields change their meaning",
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
    _, components = schemas_of([PublicFill])
    messages, schemas = socket_components()
    return {
        "asyncapi": "3.1.0",
        "info": {"title": "Perpetua", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "The broker's address comes from the operator; a local exchange writes it to `DATA/run.json`",
                "variables": {"broker": {"default": "localhost:9092"}},
            },
            "api": {
                "host": "{api}",
                "protocol": "ws",
                "description": "The address of the REST API; `wss` behind TLS",
                "variables": {"api": {"default": "localhost:8080"}},
            },
        },
        "channels": {"fills": _channel(), "socket": {**socket_channel(), "servers": [{"$ref": "#/servers/api"}]}},
        "operations": {"publishFill": _operation(), **socket_operations()},
        "components": {"messages": {"fill": _message(), **messages}, "schemas": schemas | components},
    }


def _channel() -> JsonObject:
    return {
        "address": ADDRESS,
        "servers": [{"$ref": "#/servers/kafka"}],
        "title": "Public fills of a market",
        "description": f"One topic per market, with one partition. {_FILLS}",
        "messages": {"fill": {"$ref": "#/components/messages/fill"}},
        "parameters": {"marketId": {"description": "A market of `GET /markets`", "examples": ["BTC-PERP"]}},
        "bindings": {"kafka": {"topic": ADDRESS, "partitions": 1, "bindingVersion": "0.5.0"}},
    }


def _operation() -> JsonObject:
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/fills"},
        "summary": "The exchange publishes a trade; at least once, in order, without gaps",
        "messages": [{"$ref": "#/channels/fills/messages/fill"}],
    }


def _message() -> JsonObject:
    example: Any = msgspec.json.decode(encode_fill(EXAMPLE))
    headers = {"eventId": EXAMPLE.event_id, "sequence": "17", "schemaVersion": str(FILL_SCHEMA_VERSION)}
    return {
        "name": "fill",
        "title": "Fill",
        "summary": "A public trade: its parties are known by their order ids only",
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {"$ref": "#/components/schemas/PublicFill"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The market's id"}, "bindingVersion": "0.5.0"}},
        "examples": [{"name": "trade", "headers": headers, "payload": example}],
    }
