"""The part of the AsyncAPI document about the socket, generated from the structs of its frames."""

import inspect
from typing import Any, get_args

import msgspec

from api.documents.json_schema import JsonObject, schemas_of
from schemas.live import account_messages, answers, market_messages, requests

ADDRESS = "/ws"
_ABOUT = (
    "One WebSocket for orders, market data and private events; frames are JSON texts. `docs/live.md` explains it. Each request gets one "
    "`result` with the status and body that the REST route gives. Compatibility: fields, operations and channels are only added: ignore "
    "those you do not know."
)
REQUESTS: tuple[type[msgspec.Struct], ...] = (
    requests.Auth,
    requests.Ping,
    requests.Subscribe,
    requests.Unsubscribe,
    requests.PlaceOrder,
    requests.AmendOrder,
    requests.CancelOrder,
    requests.CancelAll,
    requests.CancelOnDisconnect,
)
"""What a client sends."""
ANSWERS: tuple[type[msgspec.Struct], ...] = (
    answers.Result,
    answers.SocketError,
    answers.Goodbye,
    answers.Unsubscribed,
    *get_args(market_messages.MarketMessage),
    *get_args(account_messages.AccountMessage),
)
"""What the exchange sends."""


def socket_components() -> tuple[JsonObject, JsonObject]:
    """The messages and the schemas of their payloads."""
    structs = [*REQUESTS, *ANSWERS]
    found, components = schemas_of(structs)
    messages = {struct.__name__: _message(struct, schema) for struct, schema in zip(structs, found, strict=True)}
    return messages, components


def socket_channel() -> JsonObject:
    """The one channel: every frame of either side."""
    return {
        "address": ADDRESS,
        "title": "The socket",
        "description": _ABOUT,
        "messages": {
            struct.__name__: {"$ref": f"#/components/messages/{struct.__name__}"} for struct in (*REQUESTS, *ANSWERS)
        },
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def socket_operations() -> JsonObject:
    """What the exchange receives, and what it sends."""
    return {
        "receiveRequest": _operation("receive", REQUESTS, "A client asks; each request gets one `result`"),
        "sendFrame": _operation("send", ANSWERS, "The exchange answers, and sends what the client has subscribed to"),
    }


def _operation(action: str, structs: tuple[type[msgspec.Struct], ...], summary: str) -> JsonObject:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/socket"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/socket/messages/{struct.__name__}"} for struct in structs],
    }


def _message(struct: type[msgspec.Struct], schema: JsonObject) -> JsonObject:
    tag: Any = struct.__struct_config__.tag
    return {
        "name": tag,
        "title": f"{tag} ({struct.__name__})",
        "summary": " ".join((inspect.getdoc(struct) or "").split()).rstrip("."),
        "contentType": "application/json",
        "payload": schema,
    }
