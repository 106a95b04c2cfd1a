"""The document that /openapi.json serves: valid, complete, and true."""

import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.documents.openapi import document, errors_of
from api.documents.openapi_examples import EXAMPLES
from api.route import Access
from api.routes import ALL_ROUTES
from schemas.orders import FillCause
from schemas.refusals import HTTP_STATUS, ErrorCode
from tests.api.exchange import Exchange

OF_EVERY_SERVER = {ErrorCode.METHOD_NOT_ALLOWED}
VERBS = (
    "get|list|export|open|register|log|change|enrol|confirm|remove|create|revoke|make|set|place|amend|cancel|close|preview|drain|"
    "freeze|unfreeze|end|correct|retry"
)
OF_LIMITS = {"RateLimit", "RateLimit-Policy"}
"""Of calls that are counted; the exchange of these tests counts none."""
BARE = {"/markets", "/balances", "/positions", "/orders", "/fills"}
SHAPES = {"properties", "additionalProperties"}


def _document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(document(ALL_ROUTES)))
    return written


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": _document()["components"]})


def test_the_document_is_valid_openapi_3_1() -> None:
    """openapi-spec-validator finds nothing, examples and defaults included."""
    written = _document()
    assert written["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(written).iter_errors()] == []


def test_every_route_and_every_error_is_in_it() -> None:
    """Each route with its statuses; each code of the contract somewhere; bearer tokens where they are needed."""
    written = _document()
    for route in ALL_ROUTES:
        operation = written["paths"][route.path][route.method.lower()]
        expected = {*route.responses, *(HTTP_STATUS[code] for code in errors_of(route))}
        assert {int(status) for status in operation["responses"]} == expected
        assert bool(operation["security"]) == (route.access is not Access.PUBLIC)
    documented = {code for route in ALL_ROUTES for code in errors_of(route)}
    assert documented == set(ErrorCode) - OF_EVERY_SERVER


def test_each_read_says_how_to_wait_for_a_command() -> None:
    """The header is a parameter, and NOT_YET an answer, where a read waits and nowhere else."""
    for path, operations in _document()["paths"].items():
        for method, operation in operations.items():
            waits = {route.can_wait for route in ALL_ROUTES if (route.path, route.method.lower()) == (path, method)}
            names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
            assert {"X-Wait-For-Command" in names} == {"412" in operation["responses"]} == waits, path


def test_operation_ids_are_a_verb_and_a_noun() -> None:
    """Generators name their functions after them: unique, camelCase, and they begin with one of few verbs."""
    ids = [operation["operationId"] for operation in _operations()]
    assert len(ids) == len(set(ids)) == len(ALL_ROUTES)
    assert [each for each in ids if not re.fullmatch(f"({VERBS})([A-Z][a-z]+)+", each)] == []
    reads = {route.operation_id for route in ALL_ROUTES if route.method == "GET"}
    assert {each for each in ids if re.match("get|list|export|open", each)} == reads


def test_schemas_are_of_the_kind_that_generators_understand() -> None:
    """Each enum has a type, null is a type but next to a reference, integers have a size, and nothing has a default."""
    schemas = list(_schemas(_document()))
    assert not [schema for schema in schemas if "enum" in schema and "type" not in schema]
    assert not [schema for schema in schemas if "default" in schema]
    assert not [each for each in schemas if _is_of("integer", each) and each.get("format") != "int64"]
    assert not [each for each in schemas if each.get("type") == "object" and not each.keys() & SHAPES]
    unions = [schema[key] for schema in schemas for key in ("anyOf", "oneOf", "allOf") if key in schema]
    assert unions
    assert all(len(each) == 2 and "$ref" in each[0] and each[1] == {"type": "null"} for each in unions), unions


def _schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document that can be a schema; not the variables of its servers, nor what is an example."""
    if isinstance(part, dict):
        yield part
        for key, value in part.items():
            if key not in {"servers", "example", "examples"}:
                yield from _schemas(value)
    elif isinstance(part, list):
        for value in part:
            yield from _schemas(value)


def _is_of(kind: str, schema: dict[str, Any]) -> bool:
    kinds = schema.get("type")
    return kinds == kind or (isinstance(kinds, list) and kind in kinds)


def test_times_are_of_the_format_date_time() -> None:
    """Whatever is named after a time, in requests, answers and parameters."""
    components = _document()["components"]["schemas"]
    fields = [pair for each in components.values() for pair in each.get("properties", {}).items()]
    fields += [(each["name"], each["schema"]) for operation in _operations() for each in operation["parameters"]]
    times = [pair for pair in fields if re.search(r"^(time|from|to)$|[a-z](At|Time|Since|Until|From)$", pair[0])]
    times = [pair for pair in times if pair[0] not in {"at", "fundingTime"}]
    assert len(times) >= 50
    assert [name for name, schema in times if schema.get("format") != "date-time"] == []


def test_codes_of_errors_are_one_enum_and_extensible_words_are_strings() -> None:
    """A client can switch over codes; a cause of fills that is added later does not break one."""
    components = _document()["components"]["schemas"]
    assert components["ErrorBody"]["properties"]["code"] == {"$ref": "#/components/schemas/ErrorCode"}
    assert components["ErrorCode"]["enum"] == sorted(ErrorCode)
    assert components["ErrorCode"]["type"] == components["FillCause"]["type"] == "string"
    assert "enum" not in components["FillCause"]
    assert components["FillCause"]["x-extensible-enum"] == sorted(FillCause)


def test_a_field_that_is_always_written_is_required_and_one_that_is_left_out_is_never_null() -> None:
    """Of both kinds, and of requests, which take null for what they take nothing for."""
    components = _document()["components"]["schemas"]
    assert {"status"} <= set(components["CancelTaken"]["required"])
    assert {"schemaVersion"} <= set(components["PublicFill"]["required"])
    order, asked = components["OrderView"], components["OrderRequest"]["properties"]
    assert "triggerPrice" not in order["required"]
    assert order["properties"]["triggerPrice"]["type"] == "string"
    assert order["properties"]["price"]["type"] == asked["price"]["type"] == ["string", "null"]
    assert asked["timeInForce"]["description"] == "Default: `GTC`."


def test_lists_are_pages_with_a_limit() -> None:
    """The five lists that know a bare array are documented as a page, for which `limit` is needed; words tell of the array."""
    told = [each for each in _operations() if "bare array" in each["description"]]
    assert {each["operationId"] for each in told} == {
        *("listMarkets", "listBalances", "listPositions", "listOrders", "listFills")
    }
    for operation in _operations():
        limits = [each for each in operation["parameters"] if each["name"] == "limit"]
        assert [each.get("required", False) for each in limits] == ([operation in told] if limits else [])
    for operation in told:
        answer = operation["responses"]["200"]
        assert answer["content"]["application/json"]["schema"]["$ref"].endswith("Page")
        assert "Link" in answer["headers"]


def test_answers_that_are_counted_show_the_rate_limit() -> None:
    """Success and 429 alike."""
    for operation in _operations():
        shown = {status for status, answer in operation["responses"].items() if "RateLimit" in answer["headers"]}
        assert {status for status in operation["responses"] if status[0] == "2"} | {"429"} <= shown


def test_it_says_what_each_tag_and_server_is() -> None:
    """Every tag that is used, and no other; a server whose origin is a variable."""
    written = _document()
    described = {tag["name"]: tag["description"] for tag in written["tags"]}
    assert described.keys() == {tag for operation in _operations() for tag in operation["tags"]}
    assert all(described.values())
    (server,) = written["servers"]
    assert server["url"] == "{origin}"
    assert server["variables"]["origin"]["default"].startswith("http")


def _operations() -> list[dict[str, Any]]:
    return [operation for path in _document()["paths"].values() for operation in path.values()]


def test_every_example_fits_its_schema() -> None:
    """An example that is wrong teaches the wrong thing; each is somewhere in the document."""
    contents = [content for content in _contents(_document()["paths"]) if "example" in content]
    for content in contents:
        _validator(content["schema"]).validate(content["example"])
    assert {json.dumps(content["example"]) for content in contents} == {json.dumps(each) for each in EXAMPLES.values()}


def _contents(paths: dict[str, Any]) -> list[dict[str, Any]]:
    """Every body in the document, of requests and answers; a redirect has none."""
    operations = [operation for path in paths.values() for operation in path.values()]
    sent = [operation["requestBody"] for operation in operations if "requestBody" in operation]
    answered = [response for operation in operations for response in operation["responses"].values()]
    return [content for body in (*sent, *answered) for content in body.get("content", {}).values()]


def test_patterns_are_plain_regular_expressions() -> None:
    """No look-ahead of Python's: other languages read the document too."""
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(_document()))
    assert len(patterns) >= 3
    assert not [pattern for pattern in patterns if "(?!" in pattern]


async def test_answers_match_the_document(exchange: Exchange) -> None:
    """Real answers of every readable route, of an order and of a refusal, against the served document."""
    alice, bob = await exchange.user(), await exchange.user()
    placed = await alice.order(clientOrderId="a", leverage=5)
    await bob.order(side="SELL", quantity="0.05")
    await exchange.run_engine()
    served = (await exchange.anonymous().get("/openapi.json")).body
    assert served == _document()
    paths = {
        "/markets": "/markets",
        "/markets?limit=1": "/markets",
        "/markets/BTC-PERP": "/markets/{marketId}",
        "/markets/BTC-PERP/risk-tiers": "/markets/{marketId}/risk-tiers",
        "/markets/unknown/risk-tiers": "/markets/{marketId}/risk-tiers",
        "/balances": "/balances",
        "/balances?limit=1": "/balances",
        "/positions": "/positions",
        "/positions?limit=1": "/positions",
        "/orders": "/orders",
        "/orders?limit=1": "/orders",
        f"/orders/{placed.body['orderId']}": "/orders/{orderId}",
        "/orders/unknown": "/orders/{orderId}",
        "/fills": "/fills",
        "/fills?limit=1": "/fills",
        "/fills?limit=0": "/fills",
        "/ledger": "/ledger",
        "/ledger?limit=1": "/ledger",
        "/funding-payments": "/funding-payments",
        "/liquidations": "/liquidations",
        "/insurance-fund": "/insurance-fund",
        "/markets/BTC-PERP/funding": "/markets/{marketId}/funding",
        "/markets/unknown/funding": "/markets/{marketId}/funding",
        "/markets/BTC-PERP/fills": "/markets/{marketId}/fills",
        "/markets/unknown/fills": "/markets/{marketId}/fills",
        "/markets/BTC-PERP/orderbook": "/markets/{marketId}/orderbook",
        "/markets/BTC-PERP/trades": "/markets/{marketId}/trades",
        "/markets/BTC-PERP/candles": "/markets/{marketId}/candles",
        "/markets/BTC-PERP/ticker": "/markets/{marketId}/ticker",
        "/markets/ETH-PERP/ticker": "/markets/{marketId}/ticker",
        "/me": "/me",
        f"/orders/{placed.body['orderId']}/trace": "/orders/{orderId}/trace",
        "/orders/unknown/trace": "/orders/{orderId}/trace",
        "/orders/by-client-id/a": "/orders/by-client-id/{clientOrderId}",
        "/livez": "/livez",
        "/readyz": "/readyz",
        "/healthz": "/healthz",
    }
    for asked, path in paths.items():
        reply = await alice.get(asked)
        response = served["paths"][path]["get"]["responses"][str(reply.status)]
        assert reply.body
        is_bare = isinstance(reply.body, list) and asked in BARE
        body = {"data": reply.body, "nextCursor": None} if is_bare else reply.body
        _validator(response["content"]["application/json"]["schema"]).validate(body)
    late = await alice.get("/orders", after="BTC-PERP:99")
    refused = served["paths"]["/orders"]["get"]["responses"][str(late.status)]
    _validator(refused["content"]["application/json"]["schema"]).validate(late.body)
    withdrawn = await alice.withdraw("1")
    paid = served["paths"]["/withdrawals"]["post"]["responses"][str(withdrawn.status)]
    _validator(paid["content"]["application/json"]["schema"]).validate(withdrawn.body)
    leveraged = await alice.call("POST", "/positions/BTC-PERP/leverage", {"leverage": 4})
    set_to = served["paths"]["/positions/{marketId}/leverage"]["post"]["responses"][str(leveraged.status)]
    _validator(set_to["content"]["application/json"]["schema"]).validate(leveraged.body)
    bid = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
    for method, path, body in (
        ("post", "/orders/batch", {"orders": [bid, bid | {"quantity": "99"}]}),
        ("post", "/orders/preview", bid),
        ("post", "/orders/preview", bid | {"quantity": "99"}),
        ("post", "/positions/{marketId}/close", None),
        ("delete", "/orders", None),
    ):
        reply = await alice.call(method.upper(), path.replace("{marketId}", "BTC-PERP"), body)
        documented = served["paths"][path][method]["responses"][str(reply.status)]
        assert reply.status < 300, reply.body
        _validator(documented["content"]["application/json"]["schema"]).validate(reply.body)
        assert documented["headers"].keys() - OF_LIMITS <= reply.headers.keys()
    accepted = served["paths"]["/orders"]["post"]["responses"]["202"]
    _validator(accepted["content"]["application/json"]["schema"]).validate(placed.body)
    assert accepted["headers"].keys() - OF_LIMITS <= placed.headers.keys()


async def test_the_page_comes_from_this_server_alone(exchange: Exchange) -> None:
    """Page, script and style are served here; nothing in the page leads elsewhere or runs inline."""
    nobody = exchange.anonymous()
    page = await nobody.get("/docs")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in re.sub(r"http-equiv", "", page.body)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.body)
    for asset in re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.body):
        assert (await nobody.get(asset)).status == 200, asset
    assert (await nobody.get("/docs/LICENSE")).status == 404
