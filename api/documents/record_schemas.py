"""The JSON Schema of each documented topic's records, on its own: for `docs/schemas/` and schema registries."""

import json
from typing import Any

from api.documents.asyncapi_topics import TOPICS, DocumentedTopic
from api.documents.json_schema import JsonObject, schemas_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_IN_THE_DOCUMENT, _ON_ITS_OWN = "#/components/schemas/", "#/$defs/"


def file_name(of: DocumentedTopic) -> str:
    """`fill-v1.json`."""
    return f"{of.kind}-v{of.version}.json"


def record_schema(of: DocumentedTopic) -> JsonObject:
    """The schema of a record, with all that it refers to."""
    _, components = schemas_of([of.record])
    parts = _on_its_own(components)
    own: JsonObject = parts.pop(of.record.__name__)
    return {"$schema": DIALECT} | own | {"$defs": parts}


def schema_files() -> dict[str, str]:
    """The text of each file in `docs/schemas/`, by its name."""
    return {file_name(of): json.dumps(record_schema(of), indent=2, ensure_ascii=False) + "\n" for of in TOPICS}


def subjects_of(markets: list[str]) -> dict[str, str]:
    """The schema of each topic of these markets, by its subject: the topic's name and `-value`, as clients look it up."""
    return {f"{of.topic(market)}-value": json.dumps(record_schema(of)) for market in markets for of in TOPICS}


def _on_its_own(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _reference(value) if key == "$ref" else _on_its_own(value) for key, value in schema.items()}
    return [_on_its_own(item) for item in schema] if isinstance(schema, list) else schema


def _reference(path: str) -> str:
    return path.replace(_IN_THE_DOCUMENT, _ON_ITS_OWN)
