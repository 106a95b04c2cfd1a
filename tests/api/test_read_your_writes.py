"""Consistent reads: a GET that names a command is answered when that command is in the tables it reads."""

import asyncio
import time

from api.route import Access
from api.routes import ALL_ROUTES
from api.services import ApiSettings
from tests.api.exchange import Exchange, Reply, example_path
from tests.eventually import eventually

NOT_THERE_YET = {"marketId": "BTC-PERP", "commandSequence": 0, "awaitedCommandSequence": 7}
OF_THE_SERVER = {
    "/",
    "/account",
    "/trade/{marketId}",
    "/operate",
    "/web/{version}/{file}",
    "/docs",
    "/docs/{file}",
    "/docs/events",
    "/openapi.json",
    "/asyncapi.json",
} | {
    *("/livez", "/readyz", "/healthz", "/metrics"),
}
SOCKET = "/ws"
WAITING = [route for route in ALL_ROUTES if route.can_wait]


async def test_a_read_waits_for_the_command_of_a_202(database: str) -> None:
    """The order is OPEN in the answer, then the cancel has ended it: both 202s say which command to wait for."""
    exchange = await Exchange(database).start(wait_timeout_s=20)
    alice = await exchange.user()
    placed = await alice.order()
    reading = asyncio.create_task(alice.get(placed.headers["Location"], after=placed.headers["X-Command-Id"]))
    assert (await alice.get(placed.headers["Location"])).body["status"] == "PENDING"
    assert not reading.done()
    await exchange.run_engine()
    assert (await reading).body["status"] == "OPEN"
    cancelled = await alice.cancel(placed.body["orderId"])
    reading = asyncio.create_task(alice.get("/orders", after=cancelled.headers["X-Command-Id"]))
    await exchange.run_engine()
    assert (await reading).body[0]["status"] == "CANCELLED"
    await exchange.stop()


async def test_a_command_that_does_not_come_in_time_is_not_yet(exchange: Exchange) -> None:
    """NOT_YET, 412, with the persisted and the awaited sequence, after the whole time."""
    alice, began = await exchange.user(None), time.perf_counter()
    late = await alice.get("/balances", after="BTC-PERP:7")
    assert (late.status, late.code) == (412, "NOT_YET")
    assert late.details == NOT_THERE_YET
    assert time.perf_counter() - began >= exchange.settings.wait_timeout_s


def test_a_read_waits_two_seconds() -> None:
    """As the contract says."""
    assert ApiSettings().wait_timeout_s == 2.0


async def test_every_read_of_the_exchange_waits(exchange: Exchange) -> None:
    """The walk over the router: each GET does, except those about the server itself, and the socket; public routes wait like the rest."""
    admin = await exchange.user(None, is_admin=True)
    walked = set()
    for route in exchange.server.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if route.method == "GET" and path not in OF_THE_SERVER | {SOCKET}:
            walked.add(path)
    asked = [admin.get(example_path(path), after="BTC-PERP:7") for path in sorted(walked)]
    for path, reply in zip(sorted(walked), await asyncio.gather(*asked), strict=True):
        assert (reply.code, reply.details) == ("NOT_YET", NOT_THERE_YET), path
    for path in OF_THE_SERVER - {"/docs/{file}", "/web/{version}/{file}"}:
        assert (await admin.get(example_path(path), after="BTC-PERP:7")).status == 200, path
    assert walked == {route.path for route in WAITING}


async def test_what_is_no_command_of_ours_is_refused(database: str) -> None:
    """INVALID_REQUEST at once for a malformed, repeated or unlisted command id."""
    exchange = await Exchange(database).start(wait_timeout_s=20)
    alice, began = await exchange.user(None), time.perf_counter()
    malformed = ["", "7", ":7", "BTC-PERP", "BTC-PERP:", "BTC-PERP:0", "BTC-PERP:07", "BTC-PERP:-1", "BTC-PERP:+1"]
    malformed += [
        "BTC-PERP:1.0",
        "BTC-PERP:1e3",
        "BTC-PERP:\u0661",
        "BTC-PERP: 1",
        "BTC-PERP-2",
        "BTC-PERP:1, BTC-PERP:1",
    ]
    malformed += ["BTC-PERP:" + "9" * 13, "BTC-PERP:" + "9" * 5_000, "x" * 60 + ":12345", "BTC-PERP:1099511627776"]
    unknown = ["DOGE-PERP:1", "btc-perp:1", "\u00e9:1", "a:b:1", "'; DROP TABLE progress:1"]
    for command in malformed + unknown:
        for path in ("/markets", "/orders"):
            refused = await alice.get(path, after=command)
            assert (refused.status, refused.code) == (400, "INVALID_REQUEST"), command
    assert (await _with_two_headers(exchange)).status == 400
    assert time.perf_counter() - began < exchange.services.settings.wait_timeout_s
    await exchange.stop()


async def test_who_waits_is_known_first(exchange: Exchange) -> None:
    """UNAUTHENTICATED before any waiting: an unauthenticated caller cannot hold a request open."""
    nobody = exchange.anonymous()
    for route in WAITING:
        if route.access is not Access.PUBLIC:
            assert (await nobody.get(example_path(route.path), after="BTC-PERP:7")).code == "UNAUTHENTICATED"


async def test_two_hundred_waiting_reads_do_not_block_others(database: str) -> None:
    """They share one look every 20 ms and keep no connection: others can read, and all are answered in time."""
    exchange = await Exchange(database).start(wait_timeout_s=20)
    alice = await exchange.user()
    command = (await alice.order()).headers["X-Command-Id"]
    waiting = [asyncio.create_task(alice.get("/orders", after=command)) for _ in range(200)]
    for _ in range(20):
        assert (await alice.get("/balances")).status == 200  # 503 had it found every connection in use
    assert not any(task.done() for task in waiting)
    await exchange.run_engine()
    assert {reply.body[0]["status"] for reply in await asyncio.gather(*waiting)} == {"OPEN"}
    await exchange.stop()


async def test_a_read_that_waits_while_the_database_goes_down_is_answered(database: str) -> None:
    """UNAVAILABLE, 503, not a wait in vain: a look that fails ends it."""
    exchange = await Exchange(database).start(wait_timeout_s=20)
    alice = await exchange.user()
    waiting = asyncio.create_task(alice.get("/orders", after="BTC-PERP:7"))
    await eventually(
        lambda: exchange.value(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%p.command_seq FROM progress%'"
        )
    )
    exchange.services.database.close()
    reply = await waiting
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    await exchange.stop()


async def _with_two_headers(exchange: Exchange) -> Reply:
    headers = [("X-Wait-For-Command", "BTC-PERP:1"), ("X-Wait-For-Command", "BTC-PERP:1")]
    async with exchange.session.get(f"{exchange.anonymous().url}/markets", headers=headers) as response:
        return Reply(response.status, response.headers, await response.json())
