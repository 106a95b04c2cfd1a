"""How the API is reached: HEAD, pages of other origins, cached files, and when it says that it is ready."""

import gzip
import re
from typing import Any

import pytest

from api.routes import ALL_ROUTES
from store.markets.backlog import MarketLoad
from store.session.connect import StoreUnavailable
from tests.api.exchange import Client, Exchange, example_path

PAGE = "https://trade.example"
READS = sorted({route.path for route in ALL_ROUTES if route.method == "GET"})


def _nobody(exchange: Exchange) -> Client:
    return Client(exchange.session, f"http://127.0.0.1:{exchange.server.port}")


async def test_head_answers_as_get_does_without_a_body(exchange: Exchange) -> None:
    """On every route that has GET: the same status and type, and no body."""
    alice = await exchange.user()
    for path in READS:
        get, head = [await alice.call(method, example_path(path), allow_redirects=False) for method in ("GET", "HEAD")]
        assert (head.status, head.headers.get("Content-Type")) == (get.status, get.headers.get("Content-Type")), path
        assert not head.body, path


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
async def test_pages_of_an_allowed_origin_may_call_the_api(database: str, method: str) -> None:
    """The preflight is answered, and answers of both paths through the server name the origin and what a page may read."""
    exchange = await Exchange(database).start(cors_origins=frozenset({PAGE}))
    alice = await exchange.user()
    await alice.deposit()
    asked = {"Origin": PAGE, "Access-Control-Request-Method": method}
    preflight = await _nobody(exchange).call("OPTIONS", "/orders", headers=asked)
    assert preflight.status == 204
    assert method in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    order = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
    placed = await alice.call("POST", "/orders", order, headers={"Origin": PAGE})
    refused = await alice.call("POST", "/orders", {}, headers={"Origin": PAGE})
    for answer in (preflight, placed, refused, await alice.call("GET", "/orders", headers={"Origin": PAGE})):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in answer.headers["Vary"]
    assert placed.status == 202
    assert "X-Command-Id" in placed.headers["Access-Control-Expose-Headers"]
    await exchange.stop()


async def test_pages_of_other_origins_may_not(database: str) -> None:
    """Neither while CORS is off nor from an origin that is not listed; OPTIONS is then a method like any unsupported one."""
    for allowed in (frozenset[str](), frozenset({PAGE})):
        exchange = await Exchange(database).start(cors_origins=allowed)
        for origin in ("https://evil.example", "null", f"{PAGE}.evil.example"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = await _nobody(exchange).call("OPTIONS", "/orders", headers=asked)
            read = await _nobody(exchange).call("GET", "/markets", headers={"Origin": origin})
            assert (preflight.status, preflight.code, read.status) == (405, "METHOD_NOT_ALLOWED", 200)
            assert not {"Access-Control-Allow-Origin"} & {*preflight.headers, *read.headers}
        nowhere = await _nobody(exchange).call("OPTIONS", "/nothing", headers={"Origin": PAGE})
        assert (nowhere.status, nowhere.code) == (404, "NOT_FOUND")
        await exchange.stop()


async def test_files_of_the_page_are_compressed_and_kept(exchange: Exchange) -> None:
    """The page names its files by their content; those are kept for good, the page itself is asked for again."""
    nobody = _nobody(exchange)
    page = await nobody.get("/docs")
    names = re.findall(r'"/docs/([\w-]+\.[\w.-]+)"', page.body)
    assert len(names) == 3
    for name in names:
        headers = {"Accept-Encoding": "gzip"}
        async with exchange.session.get(f"{nobody.url}/docs/{name}", headers=headers, auto_decompress=False) as answer:
            packed = await answer.read()
        async with exchange.session.get(f"{nobody.url}/docs/{name}", headers={"Accept-Encoding": "identity"}) as plain:
            content = await plain.read()
        assert "immutable" in answer.headers["Cache-Control"]
        assert "Accept-Encoding" in answer.headers["Vary"]
        if answer.headers.get("Content-Encoding") == "gzip":
            assert gzip.decompress(packed) == content
            assert len(packed) < len(content)
        else:
            assert packed == content
            assert len(content) < 1_024
        again = await nobody.call("GET", f"/docs/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.body) == (304, "")
    for path in ("/docs", "/openapi.json", "/asyncapi.json", "/docs/events"):
        first = await nobody.get(path)
        again = await nobody.call("GET", path, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.headers["Cache-Control"], again.status) == ("no-cache", 304)


FRESH = MarketLoad(0, 0.0)
WAITING = MarketLoad(3, 12.0)
CLOSED = MarketLoad(0, 0.0, is_open=False)


@pytest.mark.parametrize(
    ("load", "status", "says"),
    [
        ({"A": FRESH, "B": FRESH}, 200, "ok"),
        ({"A": FRESH, "B": WAITING}, 200, "ok"),
        ({"A": WAITING, "B": WAITING}, 503, "engine"),
        ({"A": CLOSED, "B": WAITING}, 503, "B: 3 commands"),
        ({"A": CLOSED, "B": CLOSED}, 200, "ok"),
    ],
)
async def test_ready_means_that_an_order_would_be_accepted(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, load: dict[str, MarketLoad], status: int, says: str
) -> None:
    """One market that lags does not take the API away from the others; if all lag, it says which parts to look at."""

    async def poll() -> None: ...

    monkeypatch.setattr(exchange.services.load, "poll", poll)
    monkeypatch.setattr(exchange.services.load, "_current", load)
    ready = await _nobody(exchange).get("/readyz")
    assert ready.status == status
    assert says in ready.body["status"]


async def test_an_api_that_cannot_store_orders_is_not_ready(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk: the 503 has its reason in the log, once, and /readyz names it until an order is stored again."""
    alice = await exchange.user()
    await alice.deposit()
    full = StoreUnavailable(outcome_is_unknown=False)
    full.__cause__ = OSError(28, "No space left on device")

    async def fail(*_: Any) -> Any:
        raise full

    with monkeypatch.context() as patch:
        for submission in exchange.services.submissions._submissions:
            patch.setattr(submission, "run", fail)
        assert [(await alice.order()).status for _ in range(5)] == [503] * 5
        ready = await alice.get("/readyz")
    assert (ready.status, "OSError" in ready.body["status"]) == (503, True)
    lines = [record.getMessage() for record in caplog.records if "No space left" in record.getMessage()]
    assert len(lines) == 1
    assert (await alice.order()).status == 202
    assert (await alice.get("/readyz")).status == 200
