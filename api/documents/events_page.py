"""The AsyncAPI document as an HTML page, without external links."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from api.documents.json_schema import JsonObject
from api.documents.web_tree import WEB_TREE

_CONTENT = "<!-- content -->"


def events_page(document: JsonObject) -> str:
    """The whole document as HTML: every channel with its messages, their headers, key, body and examples."""
    info = document["info"]
    body = "\n".join(part for channel in document["channels"].values() for part in _channel(document, channel))
    return WEB_TREE.completed("events.html").replace(
        _CONTENT,
        f"""<h1>{escape(info["title"])}: socket and events</h1>
<p>{_prose(info["description"])}</p>
<p>Machine-readable: <a href="/asyncapi.json">/asyncapi.json</a>. The REST API: <a href="/docs">/docs</a>.</p>
{body}""",
    )


def _channel(document: JsonObject, channel: JsonObject) -> Iterator[str]:
    yield f"<h2><code>{escape(channel['address'])}</code></h2>"
    yield f"<p>{_prose(channel['description'])}</p>"
    for name, parameter in channel.get("parameters", {}).items():
        yield f"<p><code>{escape(name)}</code>: {_prose(parameter['description'])}.</p>"
    for message in channel["messages"].values():
        yield from _message(document, _resolved(document, message))


def _message(document: JsonObject, message: JsonObject) -> Iterator[str]:
    yield f"<h3>{escape(message['title'])}</h3><p>{_prose(message['summary'])}.</p>"
    if "bindings" in message:
        yield f"<p>Key: {_prose(message['bindings']['kafka']['key']['description'])}.</p>"
    for title, part in (("Headers", "headers"), ("Body", "payload")):
        if part in message:
            yield f"<h4>{title}</h4>"
            yield _table(document, _resolved(document, message[part]))
    for example in message.get("examples", ()):
        yield f"<h4>Example: {escape(example['name'])}</h4><pre>{escape(json.dumps(example['payload'], indent=2))}</pre>"


def _table(document: JsonObject, schema: JsonObject) -> str:
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(document, field))}</td>"
        f"<td>{_prose(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    ]
    return f"<table><tr><th>name</th><th>type</th><th>meaning</th></tr>{''.join(rows)}</table>"


def _kind(document: JsonObject, schema: JsonObject) -> str:
    """The type of a field as text: its alternatives, or the values it can have."""
    schema = _resolved(document, schema)
    if "const" in schema:
        return str(schema["const"])
    if "type" not in schema and not schema.keys() & {"enum", "anyOf"}:
        return "any"
    words = schema.get("enum") or schema.get("x-extensible-enum")
    if words:
        return " | ".join("null" if word is None else str(word) for word in words)
    if "anyOf" in schema:
        return " | ".join(_kind(document, each) for each in schema["anyOf"])
    kinds = schema["type"]
    return " | ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _resolved(document: JsonObject, schema: JsonObject) -> JsonObject:
    """The schema that a reference inside the document points to."""
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def _prose(text: str) -> str:
    """Text with its `code` marked up."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
