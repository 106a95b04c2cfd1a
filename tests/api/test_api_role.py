"""The API under its own PostgreSQL role: everything it does is granted, and nothing that is not its business."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
import pytest_asyncio

from api.route import Access
from api.routes import ALL_ROUTES
from store.markets.progress import read_market_progress
from store.queries.market_data.funding import read_fundings
from store.queries.market_data.live_market import read_live_market, read_resting_orders
from store.queries.market_data.live_progress import read_seen_markets
from store.queries.market_data.public_fills import read_forced_fills, read_public_fills
from store.session.connect import Session
from tests.api.exchange import Exchange
from tests.store.roles import as_role, make_roles

ALICE = {"email": "alice@example.com", "password": "correct horse"}
FORBIDDEN = [
    "INSERT INTO fills SELECT * FROM fills",
    "DELETE FROM fills",
    "UPDATE fills SET price = 1",
    "UPDATE ledger SET amount = 1",
    "DELETE FROM ledger",
    "UPDATE positions SET lots = 1",
    "UPDATE positions SET cost = 1, realized = 1",
    "UPDATE positions SET reduce_buy_lots = 0, reduce_sell_cost = 0",
    "DELETE FROM positions",
    "UPDATE orders SET status = 'FILLED'",
    "UPDATE orders SET remaining = 0",
    "DELETE FROM orders",
    "UPDATE amends SET verdict = 'DONE'",
    "DELETE FROM amends",
    "UPDATE users SET role = 'admin'",
    "UPDATE users SET email = ''",
    "UPDATE logins SET user_id = 1, ended_at = NULL",
    "UPDATE totp SET user_id = 1",
    "UPDATE recovery_codes SET code_hash = ''",
    "DELETE FROM recovery_codes",
    "INSERT INTO accounts (user_id, liquidation_id) VALUES (1, 1)",
    "UPDATE accounts SET liquidation_id = NULL",
    "UPDATE operator_acts SET reason = ''",
    "DELETE FROM operator_acts",
    "UPDATE verifications SET report = '{}'",
    "UPDATE markets SET mark = 1",
    "UPDATE progress SET command_seq = 1",
    "UPDATE relay_cursors SET command_seq = 1",
    "DELETE FROM outbox",
    "UPDATE outbox SET payload = ''",
    "DELETE FROM engine_snapshots",
    "UPDATE api_keys SET user_id = 1",
    "UPDATE api_keys SET scopes = '{withdraw}'",
    "DELETE FROM audit_runs",
    "CREATE TABLE mine (x int)",
    "COPY users TO PROGRAM 'cat'",
]


@pytest_asyncio.fixture(name="narrow")
async def exchange_under_its_role(database: str) -> AsyncIterator[Exchange]:
    """An API whose every session is of the role `perpetua_api`; what the test does itself is the owner's."""
    await make_roles(database)
    exchange = await Exchange(as_role(database, "api")).start()
    exchange.dsn = database
    yield exchange
    await exchange.stop()


async def test_every_route_works_under_the_apis_role(narrow: Exchange) -> None:
    """Registration, money, orders, keys and every read: no answer is an error of ours."""
    nobody = narrow.anonymous()
    assert (await nobody.call("POST", "/auth/register", ALICE)).status == 201
    assert (await nobody.call("POST", "/auth/login", ALICE)).status == 200
    alice, boss = await narrow.user(), await narrow.user(is_admin=True)
    placed = await alice.order(clientOrderId="a", leverage=5)
    await boss.order(side="SELL", quantity="0.05")
    await narrow.run_engine()
    exit_order = await alice.order(side="SELL", quantity="0.01", price="61000", reduceOnly=True)
    for asked in (placed, exit_order):
        amended = await alice.call("PUT", f"/orders/{asked.body['orderId']}", {"quantity": "0.08"})
        assert amended.status == 202, amended.body
    await narrow.run_engine()
    assert (await alice.call("POST", "/positions/BTC-PERP/close")).status == 202
    assert (await alice.cancel(placed.body["orderId"])).status == 202
    assert (await alice.preview()).body["outcome"]["status"] == "OPEN"
    assert (await alice.withdraw("1", key="once")).status == 201
    assert (await alice.call("POST", "/positions/BTC-PERP/leverage", {"leverage": 4})).status == 200
    assert (await boss.call("POST", "/admin/drain", {"marketId": "ETH-PERP"})).code == "DRAIN_TIMED_OUT"
    assert (await alice.call("POST", "/api-keys", {"label": "bot", "scopes": ["read"]})).status == 201
    assert (await alice.call("DELETE", "/api-keys/1")).status == 200
    assert (
        await boss.call("POST", "/admin/markets/ETH-PERP/status", {"status": "HALTED", "reason": "x"})
    ).status == 202
    key = {"Idempotency-Key": "once"}
    for name in ("freeze", "unfreeze", "revoke-keys", "end-sessions"):
        assert (await boss.call("POST", f"/admin/users/{alice.user}/{name}", {"reason": "x"})).status == 200
    given = {"asset": "USDC", "amount": "1", "reason": "x"}
    assert (await boss.call("POST", f"/admin/users/{alice.user}/corrections", given, headers=key)).status == 201
    second = await narrow.user(is_admin=True)
    for route in ALL_ROUTES:
        if route.access is Access.ADMIN and route.method == "GET" and route.path != "/admin/dead-letters":
            path = re.sub(r"\{\w+\}", str(alice.user), route.path)
            assert (await boss.get(path)).status in {200, 404}, path
    assert (await boss.call("POST", f"/admin/users/{second.user}/revoke-admin", {"reason": "x"})).status == 200
    for route in ALL_ROUTES:
        if route.method == "GET":
            path = re.sub(r"\{\w+\}", placed.body["orderId"], route.path.replace("{marketId}", "BTC-PERP"))
            assert (await alice.get(path)).status < 500, path
        elif route.access is not Access.PUBLIC:
            path = re.sub(r"\{\w+\}", "1", route.path.replace("{marketId}", "BTC-PERP"))
            assert (await alice.call(route.method, path, {})).status < 500, path
    assert (await alice.get("/fills")).body


async def test_the_apis_role_writes_nothing_else(database: str) -> None:
    """An attacker with the API's role creates no fill, moves no position, and makes nobody an administrator."""
    await make_roles(database)
    session = await asyncpg.connect(as_role(database, "api"))
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(statement)
    await session.close()


async def test_the_live_feed_reads_under_the_apis_role(narrow: Exchange) -> None:
    """What each market channel begins with, and what it is read again from."""
    reads: tuple[Callable[[Session], Awaitable[object]], ...] = (
        lambda session: read_live_market(session, "BTC-PERP"),
        lambda session: read_resting_orders(session, "BTC-PERP"),
        lambda session: read_seen_markets(session, ["BTC-PERP"]),
        lambda session: read_market_progress(session, "BTC-PERP"),
    )
    for read in reads:
        assert await narrow.services.database.run(read)
    for rows in (read_public_fills, read_forced_fills, read_fundings):
        assert await narrow.services.database.run(lambda session, read=rows: read(session, "BTC-PERP", 0, 10)) == []
