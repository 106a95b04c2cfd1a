"""The database is down: 503 within two seconds, no empty list, and everything continues automatically afterwards."""

import asyncio
import time
from pathlib import Path

import asyncpg
import pytest

from api.database import Database
from app.local.postgres import EmbeddedPostgres
from store.markets.registry import seed
from store.schema.migrate import migrate
from store.session.connect import StoreUnavailable, connect_reader_pool
from tests.api.exchange import Client, Exchange, Reply, now
from tests.eventually import eventually


async def _timed(client: Client, method: str, path: str, body: object = None) -> Reply:
    began = time.perf_counter()
    reply = await client.call(method, path, body)
    assert time.perf_counter() - began < 2.5, path  # two seconds, and what a busy machine adds
    return reply


async def test_without_its_database_every_route_answers_unavailable_and_recovers(tmp_path: Path) -> None:
    """UNAVAILABLE with Retry-After while PostgreSQL is stopped; the same process serves when it is back."""
    server = EmbeddedPostgres(tmp_path / "pg")
    dsn = await server.start()
    migrate(dsn)
    await seed(dsn, now())
    exchange = await Exchange(dsn).start()
    alice = await exchange.user()
    await server.stop()
    order = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
    calls = [
        ("GET", "/markets", None),
        ("GET", "/balances", None),
        ("GET", "/orders", None),
        ("GET", "/fills", None),
        ("POST", "/orders", order),
        ("DELETE", "/orders/BTC-PERP-2", None),
        ("POST", "/deposits", {"asset": "USDC", "amount": "1"}),
        ("POST", "/admin/drain", {}),
        ("POST", "/auth/login", {"email": "a@example.com", "password": "correct horse"}),
    ]
    for method, path, body in calls:
        reply = await _timed(alice, method, path, body)
        assert (reply.status, reply.code) == (503, "UNAVAILABLE"), path
        assert reply.headers["Retry-After"] == "1"
    assert (await alice.get("/livez")).status == 200
    assert (await alice.get("/readyz")).status == (await alice.get("/healthz")).status == 503
    await server.start()

    async def accepted() -> bool:
        return (await alice.call("POST", "/orders", order)).status == 202

    await eventually(accepted)
    assert (await alice.get("/readyz")).status == 200
    await exchange.stop()
    await server.stop()


async def test_an_exchange_starts_without_its_database(tmp_path: Path) -> None:
    """It listens, lives, is not ready, and refuses; it does not hang or die."""
    exchange = await Exchange(f"postgresql://perpetua@/perpetua?host={tmp_path}").start()
    nobody = exchange.anonymous()
    assert (await _timed(nobody, "GET", "/markets")).code == "UNAVAILABLE"
    assert (await nobody.get("/readyz")).status == 503
    await exchange.stop()


async def test_a_batch_that_hangs_is_answered_and_the_next_ones_at_once(exchange: Exchange) -> None:
    """A lock holds the batch: its clients get UNAVAILABLE at the deadline, later ones at once; then it continues."""
    alice, bob = await exchange.user(), await exchange.user()
    connection = await asyncpg.connect(exchange.dsn)
    holding = connection.transaction()
    await holding.start()
    await connection.execute("LOCK TABLE accounts")
    hanging = asyncio.create_task(_timed(alice, "POST", "/orders", {**ORDER, "clientOrderId": "hanging"}))
    assert (await hanging).code == "UNAVAILABLE"
    began = time.perf_counter()
    assert (await bob.order()).code == "UNAVAILABLE"
    assert time.perf_counter() - began < 0.5
    health = await bob.get("/healthz")
    assert {part["name"] for part in health.body["parts"] if not part["isWell"]} == {"submission queue"}
    await holding.rollback()
    await connection.close()
    await eventually(lambda: not exchange.services.submissions.is_stuck)
    assert (await bob.order()).status == 202
    repeated = await alice.order(clientOrderId="hanging")
    assert repeated.status in (200, 202)  # the outcome was unknown: by its client id it is found, or stored now
    assert await exchange.value("SELECT count(*) FROM orders WHERE client_order_id = 'hanging'") == 1


async def test_killed_database_sessions_are_replaced(exchange: Exchange) -> None:
    """Every session of the process is terminated under load; what is answered 202 is stored, then everything continues."""
    users = [await exchange.user() for _ in range(4)]

    async def keep_ordering(client: Client) -> list[Reply]:
        return [await client.order(quantity="0.001") for _ in range(15)]

    ordering = [asyncio.create_task(keep_ordering(user)) for user in users]
    for _ in range(3):
        await exchange.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'api%'"
        )
    replies = [reply for client in ordering for reply in await client]
    assert {(reply.status, reply.code) for reply in replies} <= {(202, ""), (503, "UNAVAILABLE")}
    stored = await exchange.value("SELECT array_agg(order_id & 1099511627775) FROM orders") or []
    answered = {reply.body["orderId"] for reply in replies if reply.status == 202}
    assert answered <= {f"BTC-PERP-{seq}" for seq in stored}
    assert (await users[0].get("/orders")).status == 200
    assert (await users[0].order(quantity="0.001")).status == 202


async def test_a_market_that_lags_too_far_accepts_only_what_reduces(exchange: Exchange) -> None:
    """OVERLOADED with Retry-After when the oldest command waits for more than ten seconds; cancels are accepted."""
    alice = await exchange.user()
    resting = (await alice.order()).body["orderId"]
    await exchange.execute("UPDATE outbox SET created_at = now() - interval '11 seconds'")
    await exchange.services.load.poll()
    refused = await alice.order()
    assert (refused.status, refused.code) == (503, "OVERLOADED")
    assert refused.headers["Retry-After"] == "1"
    assert (await alice.cancel(resting)).status == 202
    await exchange.run_engine()
    await exchange.services.load.poll()
    assert (await alice.order()).status == 202


ORDER = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}


async def test_a_query_that_hangs_is_answered_in_time(exchange: Exchange) -> None:
    """UNAVAILABLE instead of waiting for a lock; never an empty list."""
    alice = await exchange.user()
    connection = await asyncpg.connect(exchange.dsn)
    await connection.execute("BEGIN; LOCK TABLE orders")
    reply = await _timed(alice, "GET", "/orders")
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    await connection.close()
    assert (await alice.get("/orders")).body == []


async def test_work_beyond_the_deadline_is_given_up_and_its_connection_is_not_lost(database: str) -> None:
    """One connection, a query that sleeps: the caller is answered at the deadline, the next one is served."""
    pool = await connect_reader_pool(database, "api", size_max=1)
    rooms = Database(pool, deadline_s=0.2)
    with pytest.raises(StoreUnavailable):
        await rooms.run(lambda session: session.fetchval("SELECT pg_sleep(30)"))

    async def is_served() -> bool:
        try:
            return bool(await rooms.run(lambda session: session.fetchval("SELECT 1")))
        except StoreUnavailable:
            return False

    await eventually(is_served)
    rooms.close()


async def test_a_cancelled_caller_gives_its_connection_back(database: str) -> None:
    """The connection of abandoned work is free again."""
    pool = await connect_reader_pool(database, "api", size_max=1)
    rooms = Database(pool)
    caller = asyncio.create_task(rooms.run(lambda session: session.fetchval("SELECT pg_sleep(30)")))
    await eventually(lambda: pool.get_size() == 1 and pool.get_idle_size() == 0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await eventually(lambda: pool.get_idle_size() == pool.get_size())
    rooms.close()
