"""Answers compared with the document, strictly: a generated client reads exactly what is in it."""

import re
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

from api.documents.openapi import document
from api.documents.openapi_prose import HEADERS
from api.routes import ALL_ROUTES

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    """RFC 3339 in UTC with microseconds, as the exchange writes it."""
    return not isinstance(value, str) or (len(value) == 27 and datetime.fromisoformat(value).tzname() == "UTC")


@FORMATS.checks("int64")
def _is_of_64_bits(value: object) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def undocumented(method: str, url: str, status: int, headers: Any, body: Any) -> list[str]:
    """What an answer has that the document does not allow: another status, header, field, type or word, or a field less."""
    asked = urlsplit(url)
    operation = _operation(method, asked.path)
    if str(status) not in operation["responses"]:
        return [f"status {status}"]
    answer = operation["responses"][str(status)]
    faults = [f"header {name}" for name in HEADERS if name in headers and name not in answer["headers"]]
    content = answer.get("content", {}).get("application/json")
    if content is None:
        return faults
    is_bare = isinstance(body, list) and not asked.query and "bare array" in operation["description"]
    shown = {"data": body, "nextCursor": None} if is_bare else body
    schema = {**content["schema"], "components": _closed()["components"]}
    found = Draft202012Validator(schema, format_checker=FORMATS).iter_errors(shown)
    return faults + [f"{'/'.join(map(str, each.absolute_path))}: {each.message}" for each in found]


@cache
def _closed() -> dict[str, Any]:
    """The document, its answers without room for further fields, its extensible words without further words."""
    written = document(ALL_ROUTES)
    for schema in written["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
        if "x-extensible-enum" in schema:
            schema["enum"] = schema["x-extensible-enum"]
    return written


def _operation(method: str, path: str) -> dict[str, Any]:
    """The operation of a request; fixed words of a path come before parameters."""
    fits = [
        route
        for route in ALL_ROUTES
        if route.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), path)
    ]
    route = min(fits, key=lambda route: route.path.count("{"))
    operation: dict[str, Any] = _closed()["paths"][route.path][method.lower()]
    return operation
