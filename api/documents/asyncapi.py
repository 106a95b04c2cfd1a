"""The AsyncAPI 3.1 document of the topics and of the socket, generated from the structs of their messages."""

from api.documents.asyncapi_socket import socket_channel, socket_components, socket_operations
from api.documents.asyncapi_topics import topic_channels, topic_components, topic_operations
from api.documents.json_schema import JsonObject
from api.documents.openapi import VERSION

_ABOUT = (
    "The topics of the broker (Kafka) and the socket (WebSocket). `docs/consume.md` and `docs/live.md` explain them. "
)


def event_document() -> JsonObject:
    """The whole document."""
    topic_messages, topic_schemas = topic_components()
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
        "channels": {**topic_channels(), "socket": {**socket_channel(), "servers": [{"$ref": "#/servers/api"}]}},
        "operations": {**topic_operations(), **socket_operations()},
        "components": {"messages": topic_messages | messages, "schemas": schemas | topic_schemas},
    }
