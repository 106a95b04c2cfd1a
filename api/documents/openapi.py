"""The OpenAPI 3.1 document, generated from the routes and the structs that they read and write."""

from typing import Any, get_args

import msgspec

from api.documents.openapi_examples import EXAMPLES
from api.errors import RETRIABLE
from api.read_your_writes import WAIT
from api.route import Access, Answer, Parameter, Route
from schemas.refusals import HTTP_STATUS, ErrorCode
from schemas.rest.errors import ErrorView

JsonObject = dict[str, Any]

_DIALECT = "3.1.0"
VERSION = "0.1.0"
_BEARER = "The token of a login, or the secret of an API key; each route names the scope that a key needs"
_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER}}
_OF_EVERY_ROUTE = (ErrorCode.INTERNAL_ERROR, ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED)
_OF_BODIES = (ErrorCode.INVALID_REQUEST, ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
_HEADERS: dict[str, str] = {
    "X-Request-Id": "Opaque id of this request; quote it when you report a problem",
    "Location": "URL of the resource",
    "X-Command-Id": "Id of the command in the market's log",
    "Idempotent-Replayed": "`true`: a repetition; nothing was done",
    "Retry-After": "Seconds to wait before the next call",
    "RateLimit": "Remaining calls and seconds until the reset: draft-ietf-httpapi-ratelimit-headers-10",
    "RateLimit-Policy": "The rate limit that the call was counted against",
    "Link": 'The next page, `rel="next"`, when there is more than the bare array holds',
}
_ABOUT = (
    "Perpetual futures. Money, prices and quantities are decimal strings, times ISO 8601 UTC, ids opaque. "
    "Some lists answer as a bare array of the 500 newest items when no query parameter is given, else as a page. "
    "The stream of public fills is described at `/docs/events`."
)


def document(routes: tuple[Route, ...]) -> JsonObject:
    """The whole document."""
    schemas, components = _schemas_of(routes)
    paths: dict[str, JsonObject] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": _DIALECT,
        "info": {"title": "Perpetua", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def errors_of(route: Route) -> list[ErrorCode]:
    """Every code that a route can answer: its own, and those of the guard, the body, the query and an outage."""
    codes = {*route.errors, *_OF_EVERY_ROUTE}
    if route.access is not Access.PUBLIC:
        codes.update((ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN))
    if route.body is not None:
        codes.update(_OF_BODIES)
    if route.can_wait:
        codes.add(ErrorCode.NOT_YET)
    codes.add(ErrorCode.INVALID_REQUEST)
    return sorted(codes)


def _schemas_of(routes: tuple[Route, ...]) -> tuple[dict[Any, JsonObject], JsonObject]:
    types = [ErrorView]
    for route in routes:
        types += [part for answer in route.responses.values() if answer.body for part in _parts(answer.body)]
        types += [route.body] if route.body is not None else []
    unique = list(dict.fromkeys(types))
    found, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    plain = {name: plain_patterns(schema) for name, schema in components.items()}
    return dict(zip(unique, found, strict=True)), plain


def _parts(body: Any) -> tuple[Any, ...]:
    """The alternatives of an answer: some lists answer as an array or as a page."""
    return get_args(body) if "|" in str(body) else (body,)


def _operation(route: Route, schemas: dict[Any, JsonObject]) -> JsonObject:
    operation: JsonObject = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "summary": route.summary,
        "description": _about(route),
        "tags": [route.tag],
        "security": [] if route.access is Access.PUBLIC else [{"bearer": []}],
        "parameters": [*_path_parameters(route.path), *map(_parameter, _parameters(route))],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        operation["requestBody"] = _request_body(route, schemas)
    return operation


def _about(route: Route) -> str:
    if route.access is Access.PUBLIC:
        return "Public: no token needed."
    return "API keys are not accepted." if route.scope is None else f"An API key needs the scope `{route.scope}`."


def _path_parameters(path: str) -> list[JsonObject]:
    names = [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _parameters(route: Route) -> tuple[Parameter, ...]:
    return (*route.parameters, WAIT) if route.can_wait else route.parameters


def _parameter(parameter: Parameter) -> JsonObject:
    separated = {"style": "form", "explode": False} if parameter.schema.get("type") == "array" else {}
    return separated | {
        "name": parameter.name,
        "in": parameter.place,
        "schema": parameter.schema,
        "description": parameter.description,
    }


def _request_body(route: Route, schemas: dict[Any, JsonObject]) -> JsonObject:
    content: JsonObject = {"schema": schemas[route.body]}
    if route.body in EXAMPLES:
        content["example"] = EXAMPLES[route.body]
    return {"required": not route.is_body_optional, "content": {"application/json": content}}


def _responses(route: Route, schemas: dict[Any, JsonObject]) -> JsonObject:
    responses = {str(status): _success(route, answer, schemas) for status, answer in route.responses.items()}
    by_status: dict[int, list[ErrorCode]] = {}
    for code in errors_of(route):
        by_status.setdefault(HTTP_STATUS[code], []).append(code)
    for status, codes in sorted(by_status.items()):
        responses.setdefault(str(status), _failure(codes))
    return responses


def _success(route: Route, answer: Answer, schemas: dict[Any, JsonObject]) -> JsonObject:
    if answer.body is None:
        return {"description": answer.description, "headers": _headers(["X-Request-Id", *answer.headers])}
    alternatives = [schemas[part] for part in _parts(answer.body)]
    content: JsonObject = {"schema": alternatives[0] if len(alternatives) == 1 else {"oneOf": alternatives}}
    if answer.body in EXAMPLES:
        content["example"] = EXAMPLES[answer.body]
    names = ["X-Request-Id", *answer.headers, *(["Link"] if len(alternatives) > 1 else [])]
    return {
        "description": answer.description,
        "headers": _headers(names),
        "content": dict.fromkeys(route.content_type.split(", "), content),
    }


def _failure(codes: list[ErrorCode]) -> JsonObject:
    return {
        "description": " or ".join(f"`{code}`" for code in codes),
        "headers": _headers(["X-Request-Id", *_headers_of(codes)]),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorView"}}},
    }


def _headers_of(codes: list[ErrorCode]) -> list[str]:
    limited = ["RateLimit", "RateLimit-Policy"] if ErrorCode.RATE_LIMITED in codes else []
    return [*limited, "Retry-After"] if set(codes) <= RETRIABLE else []


def _headers(names: list[str]) -> JsonObject:
    return {name: {"schema": {"type": "string"}, "description": _HEADERS[name]} for name in names}


def plain_patterns(schema: Any) -> Any:
    """A schema whose patterns end in a plain `$`: only Python needs the guard against a final newline, JSON Schema does not."""
    if isinstance(schema, dict):
        return {
            key: value.replace("$(?!\\n)", "$")
            if key == "pattern" and isinstance(value, str)
            else plain_patterns(value)
            for key, value in schema.items()
        }
    return [plain_patterns(item) for item in schema] if isinstance(schema, list) else schema
