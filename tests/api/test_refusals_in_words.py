"""Every refusal of a malformed request says in words what is expected, and names the field: no pattern, no type of ours."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect

from api.body_words import expected
from api.documents.openapi import document
from api.routes import ALL_ROUTES
from tests.api.exchange import Client, Exchange, Reply, example_path

DOCUMENT = document(ALL_ROUTES)
WRONG: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**40, "", " ", "x" * 300, "\u0661", "-1", "1e5", "NaN", "^", "\\", "a\nb"),
    *([], [1], [None], ["x"], {}, {"a": 1}, "2030-01-31", "2030-01-31T00:00:00", "null", "name@", "1.2.3.4/99"),
)
"""A value of every kind; where one of them fits a field, it is no refusal that is judged."""
IN_ANSWERS = re.compile(
    r"\^|\\|\$|\[0-9|\{\d+,\d*\}|[Rr]egex|\bstr\b|\bint\b|\bbool\b|\bfloat\b|\bnull\b|\bNone\b|\bdatetime\b|`(object|array)`|RFC ?3339"
    r"|msgspec|Struct|Traceback|got `"
)
REPEATED = frozenset({"marketId", "keyId", "clientOrderId", "orderId"})
"""Details that repeat what the client wrote."""
STATE = REPEATED | {"filter", "required", "available"}
"""Details of a refusal that is not about how the request is written."""


SAID: list[tuple[str, Any, str, str]] = [
    (
        "/auth/register",
        {"email": "nobody", "password": "long enough"},
        "email",
        "email must be an address like name@example.org",
    ),
    (
        "/auth/register",
        {"email": "a@b.c", "password": "short"},
        "password",
        "password must be a string of 8 to 128 characters",
    ),
    ("/deposits", {"asset": "USDC"}, "amount", 'amount is missing: it must be a decimal string like "0.001"'),
    ("/orders", {"quantity": 0.001}, "quantity", 'quantity must be a decimal string like "0.001"'),
    ("/orders", {"quantity": "1e3"}, "quantity", 'quantity must be a decimal string like "0.001"'),
    ("/orders", {"side": "buy"}, "side", "side must be one of BUY, SELL"),
    ("/orders", {"leverage": 0}, "leverage", "leverage must be a whole number from 1 to 1000"),
    ("/orders", {"reduceOnly": "yes"}, "reduceOnly", "reduceOnly must be true or false"),
    (
        "/orders",
        {"expiresAt": "tomorrow"},
        "expiresAt",
        'expiresAt must be a time with its zone, like "2030-01-31T12:00:00Z"',
    ),
    (
        "/orders",
        {"clientOrderId": "a b"},
        "clientOrderId",
        "clientOrderId must be 1 to 36 letters, digits, or characters of . : / _ -",
    ),
    ("/orders", {"stopPrice": "1"}, "stopPrice", "stopPrice is unknown; the fields are marketId, side, type"),
    ("/orders", [], "body", "the body must be an object"),
    ("/orders/batch", {"orders": []}, "orders", "orders must be a list of 1 to 20 items"),
    (
        "/orders/batch",
        {"orders": [{}]},
        "orders[0].marketId",
        "orders[0].marketId is missing: it must be a string of 1 to 32 characters",
    ),
]


LAST = {"/auth/logout"}
"""Without its only field it succeeds, and nothing that comes after it is answered."""


class Wrong(NamedTuple):
    """A request with one wrong value, and what it is wrong in."""

    what: str
    method: str
    path: str
    options: dict[str, Any]


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of the document, references and alternatives to null resolved."""
    while "$ref" in schema or "anyOf" in schema:
        if "anyOf" in schema:
            schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
        else:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _example(schema: dict[str, Any]) -> Any:
    """A body that fits a schema, with every field."""
    schema = _schema(schema)
    if "properties" in schema:
        return {name: _example(part) for name, part in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_example(schema["items"])]
    plain = {"integer": schema.get("minimum", 1), "boolean": False, "string": schema.get("minLength", 1) * "x"}
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if schema.get("format") == "date-time":
        return "2100-01-01T00:00:00Z"
    if "pattern" in schema:
        return next(each for each in ("1", "a@b.example", "1.1.1.1", "123456") if re.search(schema["pattern"], each))
    kind = schema["type"]
    return plain[kind if isinstance(kind, str) else kind[0]]


def _bodies(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Bodies with one wrong value: in place of the body, of each field of each depth, a field too many, one too few."""
    schema = _schema(schema)
    fields = schema.get("properties", {})
    whole = _example(schema)
    for value in WRONG:
        yield "the body", value
        for name in fields:
            yield name, whole | {name: value}
    for name, part in fields.items():
        yield f"no {name}", {key: value for key, value in whole.items() if key != name}
        items = _schema(part).get("items")
        if items is not None:
            wrong = _bodies(items) if "properties" in _schema(items) else (("", value) for value in WRONG)
            yield from ((f"{name}[0].{where}", whole | {name: [item]}) for where, item in wrong)
    for extra in (
        "another",
        "a b`c\\",
        "\u00e9",
        "x` - at `$.foo",
        "x` - at `$.price[0]",
        "missing required field `foo`",
    ):
        yield "one too many", (whole if fields else {}) | {extra: 1}


def _requests() -> Iterator[Wrong]:
    for path, operations in sorted(DOCUMENT["paths"].items(), key=lambda each: each[0] in LAST):
        for method, operation in operations.items():
            here = example_path(path)
            for parameter in operation["parameters"]:
                name = parameter["name"]
                for value in ("", " ", "x" * 300, "-1", "0", "\u00e9", "\x07", "(", "1.5", "999999999999999999999"):
                    if parameter["in"] == "query":
                        yield Wrong(name, method, here, {"params": {name: value}})
                    elif parameter["in"] == "path":
                        yield Wrong(name, method, path.replace(f"{{{name}}}", _quoted(value)), {})
                    elif value.isascii() and value.isprintable():
                        yield Wrong(name, method, here, {"headers": {name: value}})
            yield Wrong("a query of nobody", method, here, {"params": {"no\x07body": "1"}})
            if "requestBody" in operation:
                yield Wrong("the body", method, here, _json(b"{"))
                yield Wrong("the body", method, here, _json(b'{"a":1,"a":2}'))
                yield Wrong("the body", method, here, _json(b"\xff"))
                for where, body in _bodies(operation["requestBody"]["content"]["application/json"]["schema"]):
                    yield Wrong(where, method, here, _json(json.dumps(body).encode()))


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode()) or "%20"


def _json(body: bytes) -> dict[str, Any]:
    return {"data": body, "headers": {"Content-Type": "application/json"}}


def _texts(value: Any) -> Iterator[str]:
    """Every string in an answer."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from () if name in REPEATED else _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


def _faults(wrong: Wrong, reply: Reply) -> list[str]:
    """What is not said as it should be."""
    if reply.status < 400 or not isinstance(reply.body, dict):
        return []
    error = reply.body["error"]
    shown = f"{wrong.method} {wrong.path} with {wrong.what}: {error}"
    found = [shown for text in _texts({**error, "requestId": ""}) if IN_ANSWERS.search(text)]
    is_about_the_request = error["code"] in {"INVALID_REQUEST", "INVALID_ORDER"}
    if is_about_the_request and not error.get("details", {}).keys() & {"field", *STATE}:
        found.append(f"no field: {shown}")
    return found


async def _answers(client: Client) -> tuple[int, list[str]]:
    refused, faults = 0, []
    for wrong in _requests():
        reply = await client.call(wrong.method.upper(), wrong.path, **wrong.options)
        refused += reply.status == 400
        faults += _faults(wrong, reply)
    return refused, faults


async def test_no_refusal_shows_a_pattern_or_a_type(database: str) -> None:
    """Every route, parameter, header and field of the document, with wrong values of every kind."""
    exchange = await Exchange(database).start()
    try:
        refused, faults = await _answers(await exchange.user(is_admin=True))
    finally:
        await exchange.stop()
    assert faults == []
    assert refused > 1_000


async def test_a_refusal_says_what_is_expected(database: str) -> None:
    """In words that a newcomer understands, with the name of the field for programs."""
    exchange = await Exchange(database).start()
    try:
        client = await exchange.user()
        for path, body, field, message in SAID:
            usual = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
            sent = usual | body if path == "/orders" and isinstance(body, dict) else body
            reply = await client.call("POST", path, sent)
            assert (reply.status, reply.details) == (400, {"field": field})
            assert reply.body["error"]["message"].startswith(message)
    finally:
        await exchange.stop()


def test_every_pattern_has_its_words() -> None:
    """A field with a pattern that says nothing else would be refused with `a string`."""
    bodies = {route.body for route in ALL_ROUTES if route.body is not None}
    assert len(bodies) > 5
    for body in bodies:
        for field in inspect.type_info(body).fields:  # type: ignore[attr-defined]  # a struct
            if "pattern='" in repr(field.type) and "ListType" not in repr(field.type):
                assert not expected(field.type).startswith("a string"), (body, field.encode_name)
