"""The OpenAPI 3.1 document, generated from the routes and the structs that they read and write."""

from types import UnionType
from typing import Any, Union, get_args, get_origin

from api.documents.json_schema import JsonObject, clear, schemas_of
from api.documents.openapi_examples import EXAMPLES
from api.documents.openapi_prose import ABOUT, HEADERS, SERVERS, TAGS
from api.errors import RETRIABLE
from api.paging import LIMIT
from api.read_your_writes import WAIT
from api.route import Access, Answer, Parameter, Route
from schemas.refusals import HTTP_STATUS, MEANING, ErrorCode
from schemas.rest.errors import ErrorView

_DIALECT = "3.1.0"
VERSION = "0.1.0"
_BEARER = "The token of a login, or the secret of an API key; each route names the scope that a key needs"
_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER}}
_OF_EVERY_ROUTE = (ErrorCode.INTERNAL_ERROR, ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED)
_OF_BODIES = (ErrorCode.INVALID_REQUEST, ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
_OF_COUNTED_CALLS = ("RateLimit", "RateLimit-Policy")
_BARE_ARRAY = (
    "Without any query parameter, `limit` included, the answer is a bare array of at most the 500 newest items instead of a page, with a "
    "`Link` header when there are more."
)


def document(routes: tuple[Route, ...]) -> JsonObject:
    """The whole document."""
    schemas, components = _schemas_of(routes)
    paths: dict[str, JsonObject] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": _DIALECT,
        "info": {"title": "Perpetua", "version": VERSION, "description": ABOUT},
        "servers": SERVERS,
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {"schemas": components, "headers": _all_headers(), "securitySchemes": _SCHEMES},
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
        types += [_documented(answer.body) for answer in route.responses.values() if answer.body]
        types += [route.body] if route.body is not None else []
    unique = list(dict.fromkeys(types))
    found, components = schemas_of(unique)
    return dict(zip(unique, found, strict=True)), components


def _documented(body: Any) -> Any:
    """The type of an answer; of a list that answers as an array or as a page it is the page."""
    return get_args(body)[-1] if _is_array_or_page(body) else body


def _is_array_or_page(body: Any) -> bool:
    return isinstance(body, UnionType) or get_origin(body) is Union


def _operation(route: Route, schemas: dict[Any, JsonObject]) -> JsonObject:
    operation: JsonObject = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "description": _about(route),
        "tags": [route.tag],
        "security": [] if route.access is Access.PUBLIC else [{"bearer": []}],
        "parameters": [*_path_parameters(route.path), *(_parameter(each, route) for each in _parameters(route))],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        operation["requestBody"] = _request_body(route, schemas)
    return operation


def _about(route: Route) -> str:
    access = "Public: no token needed." if route.access is Access.PUBLIC else _scope_of(route)
    return f"{access} {_BARE_ARRAY}" if _answers_bare_array(route) else access


def _scope_of(route: Route) -> str:
    return "API keys are not accepted." if route.scope is None else f"An API key needs the scope `{route.scope}`."


def _answers_bare_array(route: Route) -> bool:
    return any(_is_array_or_page(answer.body) for answer in route.responses.values())


def _path_parameters(path: str) -> list[JsonObject]:
    names = [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _parameters(route: Route) -> tuple[Parameter, ...]:
    return (*route.parameters, WAIT) if route.can_wait else route.parameters


def _parameter(parameter: Parameter, route: Route) -> JsonObject:
    separated = {"style": "form", "explode": False} if parameter.schema.get("type") == "array" else {}
    required = {"required": True} if parameter is LIMIT and _answers_bare_array(route) else {}
    schema, description = clear(parameter.schema), parameter.description
    if "default" in schema:
        default = schema.pop("default")
        description = description if required else f"{description}. Default: `{default}`"
    return (
        separated
        | {"name": parameter.name, "in": parameter.place}
        | required
        | {"schema": schema, "description": description}
    )


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
    headers = _headers(["X-Request-Id", *_OF_COUNTED_CALLS, *answer.headers])
    if answer.body is None:
        return {"description": answer.description, "headers": headers}
    content: JsonObject = {"schema": schemas[_documented(answer.body)]}
    if answer.body in EXAMPLES:
        content["example"] = EXAMPLES[answer.body]
    return {
        "description": answer.description,
        "headers": headers | (_headers(["Link"]) if _is_array_or_page(answer.body) else {}),
        "content": dict.fromkeys(route.content_type.split(", "), content),
    }


def _failure(codes: list[ErrorCode]) -> JsonObject:
    return {
        "description": "\n\n".join(f"`{code}`: {MEANING[code]}." for code in codes),
        "headers": _headers(
            ["X-Request-Id", *_OF_COUNTED_CALLS, *(["Retry-After"] if set(codes) <= RETRIABLE else [])]
        ),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorView"}}},
    }


def _headers(names: list[str]) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _all_headers() -> JsonObject:
    return {name: {"schema": {"type": "string"}, "description": description} for name, description in HEADERS.items()}
