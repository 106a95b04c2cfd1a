"""The document of topics and socket: valid by the official schema, true, and readable."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from api.documents.asyncapi import event_document
from api.documents.asyncapi_topics import TOPICS, DocumentedTopic
from schemas.orders import FillCause
from schemas.topics import PUBLISHED
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


def test_each_published_topic_is_documented() -> None:
    """None is left out, by its address."""
    addresses = {channel["address"] for channel in _document()["channels"].values()}
    assert addresses == {topic("{marketId}") for topic in PUBLISHED} | {"/ws"}


@pytest.mark.parametrize("of", TOPICS, ids=lambda of: of.kind)
def test_records_and_headers_are_what_the_document_says(of: DocumentedTopic) -> None:
    """Topic, headers and body of real records, and the document's own example."""
    channel, message = _document()["channels"][of.channel], _document()["components"]["messages"][of.kind]
    assert channel["address"].replace("{marketId}", "BTC-PERP") == of.topic("BTC-PERP")
    for record in (*(FILLS.values() if of.kind == "fill" else ()), of.example):
        _validator(message["payload"]).validate(json.loads(of.encode(record)))
        headers = {name: value.decode() for name, value in of.headers(record)}
        Draft202012Validator(message["headers"]).validate(headers)
        assert set(headers) == set(message["headers"]["properties"])
    (example,) = message["examples"]
    assert example["payload"] == json.loads(of.encode(of.example))
    assert example["headers"] == {name: value.decode() for name, value in of.headers(of.example)}


@pytest.mark.parametrize("of", TOPICS, ids=lambda of: of.kind)
def test_a_record_that_lacks_a_field_is_none(of: DocumentedTopic) -> None:
    """Fields that are always written are required."""
    body = json.loads(of.encode(of.example))
    payload = _validator(_document()["components"]["messages"][of.kind]["payload"])
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
    fields = [field.encode_name for of in TOPICS for field in msgspec.structs.fields(of.record)]
    addresses = [of.address for of in TOPICS]
    for shown in (*fields, *addresses, "eventId", "schemaVersion", "ce_id", "TAKE_OVER"):
        assert shown in page.text
