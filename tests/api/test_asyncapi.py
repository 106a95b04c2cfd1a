"""The document of the public fill stream: valid by the official schema, true, and readable."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft7Validator, Draft202012Validator

from api.documents.asyncapi import EXAMPLE, event_document
from schemas.fills import PublicFill, encode_fill, fill_headers
from schemas.orders import FillCause
from schemas.topics import fills_topic
from tests.api.exchange import Exchange
from tests.schemas.test_fills import FILLS

OFFICIAL = Path(__file__).parents[1] / "schemas" / "asyncapi" / "3.1.0.json"


class Page(HTMLParser):
    """The text of a page, and the resources it would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element starts."""
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        """The text in between."""
        self.text += data


def _document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(event_document()))
    return written


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": _document()["components"]})


def test_the_document_is_valid_asyncapi_3_1() -> None:
    """The official JSON Schema of AsyncAPI 3.1.0 finds nothing, Kafka bindings included."""
    official = Draft7Validator(json.loads(OFFICIAL.read_bytes()))
    assert [error.message for error in official.iter_errors(_document())] == []
    broken = _document()
    broken["channels"]["fills"]["bindings"]["kafka"]["partitions"] = "one"
    broken["operations"]["publishFill"]["action"] = "publish"
    assert len(list(official.iter_errors(broken))) == 2


def test_records_and_headers_are_what_the_document_says() -> None:
    """Topic, key, headers and body of real fills, and the document's own example."""
    channel = _document()["channels"]["fills"]
    message = _document()["components"]["messages"]["fill"]
    assert channel["address"].replace("{marketId}", "BTC-PERP") == fills_topic("BTC-PERP")
    for fill in (*FILLS.values(), EXAMPLE):
        _validator(message["payload"]).validate(json.loads(encode_fill(fill)))
        headers = {name: value.decode() for name, value in fill_headers(fill)}
        Draft202012Validator(message["headers"]).validate(headers)
    (example,) = message["examples"]
    assert example["payload"] == json.loads(encode_fill(EXAMPLE))
    assert example["headers"] == {name: value.decode() for name, value in fill_headers(EXAMPLE)}


def test_a_record_that_lacks_a_field_is_none() -> None:
    """Fields that are always written are required."""
    body = json.loads(encode_fill(EXAMPLE))
    payload = _validator(_document()["components"]["messages"]["fill"]["payload"])
    for field in body:
        assert list(payload.iter_errors({name: value for name, value in body.items() if name != field})), field


def test_payloads_are_of_the_kind_that_generators_understand() -> None:
    """Integers of 64 bits, typed enums, no default; a cause is a string that may get new words; the version is always there."""
    schemas = _document()["components"]["schemas"]
    fill = schemas["PublicFill"]
    assert fill["properties"]["sequence"]["format"] == fill["properties"]["schemaVersion"]["format"] == "int64"
    assert "schemaVersion" in fill["required"]
    assert schemas["FillCause"]["type"] == "string"
    assert schemas["FillCause"]["x-extensible-enum"] == sorted(FillCause)
    written = json.dumps(schemas)
    assert '"default"' not in written
    assert '"type": "integer"' in written
    for schema in _parts_of(schemas):
        assert "type" in schema or "enum" not in schema
        assert schema.get("type") != "integer" or schema["format"] == "int64"


def _parts_of(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _parts_of(value)


async def test_it_is_served_for_programs_and_for_people(exchange: Exchange) -> None:
    """/asyncapi.json is the document; /docs/events shows every field of it, runs nothing and leads nowhere else."""
    nobody = exchange.anonymous()
    assert (await nobody.get("/asyncapi.json")).body == _document()
    reply = await nobody.get("/docs/events")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    page = Page()
    page.feed(reply.body)
    assert page.tags.count("script") == 1  # the one that takes the theme
    pages = {link for link in page.links if not link.startswith("/web/")}
    assert pages == {"/", "/account", "/asyncapi.json", "/docs", "/docs/events"}
    for shown in (*msgspec.structs.fields(PublicFill), *("eventId", "schemaVersion", "fills.{marketId}", "TAKE_OVER")):
        assert (shown if isinstance(shown, str) else shown.encode_name) in page.text
