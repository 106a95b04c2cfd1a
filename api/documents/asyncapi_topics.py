"""The part of the AsyncAPI document about the topics of the broker, generated from the structs of their records."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from api.documents.json_schema import JsonObject, schemas_of
from schemas.executions import (
    EXECUTION_SCHEMA_VERSION,
    Execution,
    encode_execution,
    execution_headers,
)
from schemas.fills import FILL_SCHEMA_VERSION, PublicFill, encode_fill, fill_headers
from schemas.orders import FillCause, LiquidityRole, Side
from schemas.record_headers import Headers
from schemas.topics import executions_topic, fills_topic

_DELIVERY = (
    "One topic per market, with one partition. Delivery is at least once: a record can arrive again, always with the same bytes, so "
    "keep the last `sequence` and drop records that are not above it. Money, prices and quantities are decimal strings. "
    "Compatibility: within a `schemaVersion`, fields and values of `cause` are only added: ignore those you do not know."
)
_BACK_OFFICE = "For back offices: the records name accounts, so the broker gives only their user (`perpetua-backoffice`) the right to read them. "


class DocumentedTopic(NamedTuple):
    """A topic as the document shows it; `kind` is the name of its channel's record."""

    kind: str
    topic: Callable[[str], str]
    version: int
    title: str
    about: str
    summary: str
    record: type[msgspec.Struct]
    example: Any
    encode: Callable[[Any], bytes]
    headers: Callable[[Any], Headers]

    @property
    def channel(self) -> str:
        """Its name in the document."""
        return f"{self.kind}s"

    @property
    def address(self) -> str:
        """Its name on the broker, with the market as a parameter."""
        return self.topic("{marketId}")


FILL_EXAMPLE = PublicFill(
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
EXECUTION_EXAMPLE = Execution(
    market_id="BTC-PERP",
    sequence=34,
    trade_id="BTC-PERP-17",
    event_id="BTC-PERP:91",
    time="2027-01-15T12:00:00.000000Z",
    user_id="12",
    order_id="BTC-PERP-58",
    client_order_id="hedge-7",
    side=Side.SELL,
    liquidity_role=LiquidityRole.TAKER,
    price="60000",
    quantity="0.3",
    notional="18000",
    fee="9",
    fee_asset="USDC",
    realized_pnl="120",
    position_after="-0.1",
    cause=FillCause.TRADE,
)
TOPICS = (
    DocumentedTopic(
        kind="fill",
        topic=fills_topic,
        version=FILL_SCHEMA_VERSION,
        title="Public fills of a market",
        about="Every trade of a perpetual-futures market, in order. After a gap (a lost broker, or records past their retention) read "
        "`GET /markets/{marketId}/fills?fromSequence=`, which has every fill since the first under the same sequence, in the same form. ",
        summary="A public trade: its parties are known by their order ids only",
        record=PublicFill,
        example=FILL_EXAMPLE,
        encode=encode_fill,
        headers=fill_headers,
    ),
    DocumentedTopic(
        kind="execution",
        topic=executions_topic,
        version=EXECUTION_SCHEMA_VERSION,
        title="Executions of a market",
        about="Both sides of every fill, in order: account, order, role, fee, realized profit and the position after it. "
        + _BACK_OFFICE,
        summary="One side of a fill, with the account",
        record=Execution,
        example=EXECUTION_EXAMPLE,
        encode=encode_execution,
        headers=execution_headers,
    ),
)


def topic_channels() -> JsonObject:
    """A channel for each topic."""
    return {each.channel: _channel(each) for each in TOPICS}


def topic_operations() -> JsonObject:
    """What the exchange does with each of them."""
    return {f"publish{each.kind.capitalize()}": _operation(each) for each in TOPICS}


def topic_components() -> tuple[JsonObject, JsonObject]:
    """The messages of the topics, and the schemas of their bodies."""
    _, schemas = schemas_of([each.record for each in TOPICS])
    return {each.kind: _message(each) for each in TOPICS}, schemas


def _channel(of: DocumentedTopic) -> JsonObject:
    return {
        "address": of.address,
        "servers": [{"$ref": "#/servers/kafka"}],
        "title": of.title,
        "description": f"{of.about}{_DELIVERY}",
        "messages": {of.kind: {"$ref": f"#/components/messages/{of.kind}"}},
        "parameters": {"marketId": {"description": "A market of `GET /markets`", "examples": ["BTC-PERP"]}},
        "bindings": {"kafka": {"topic": of.address, "partitions": 1, "bindingVersion": "0.5.0"}},
    }


def _operation(of: DocumentedTopic) -> JsonObject:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{of.channel}"},
        "summary": "The exchange publishes a record; at least once, in order, without gaps",
        "messages": [{"$ref": f"#/channels/{of.channel}/messages/{of.kind}"}],
    }


def _message(of: DocumentedTopic) -> JsonObject:
    return {
        "name": of.kind,
        "title": of.kind.capitalize(),
        "summary": of.summary,
        "contentType": "application/json",
        "headers": _headers(of),
        "payload": {"$ref": f"#/components/schemas/{of.record.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The market's id"}, "bindingVersion": "0.5.0"}},
        "examples": [
            {
                "name": of.kind,
                "headers": {name: value.decode() for name, value in of.headers(of.example)},
                "payload": msgspec.json.decode(of.encode(of.example)),
            }
        ],
    }


def _headers(of: DocumentedTopic) -> JsonObject:
    properties: JsonObject = {
        "eventId": {"type": "string", "description": "The event that the record is made of, as `eventId` in the body"},
        "sequence": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "`sequence` of the body, in digits"},
        "schemaVersion": {
            "type": "string",
            "const": str(of.version),
            "description": "Changes when fields change their meaning",
        },
        "ce_specversion": {"type": "string", "const": "1.0", "description": "The version of CloudEvents"},
        "ce_id": {"type": "string", "description": "The topic and the sequence, unique on this exchange"},
        "ce_type": {
            "type": "string",
            "const": f"perpetua.{of.kind}.v{of.version}",
            "description": "The kind and version",
        },
        "ce_source": {"type": "string", "description": "The market, as a path of the REST API"},
        "ce_time": {"type": "string", "description": "`time` of the body"},
    }
    return {"type": "object", "required": list(properties), "properties": properties}
