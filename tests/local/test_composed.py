"""What docker-compose.yml starts is an exchange: each command, environment, role and health check of it, as local processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web

from broker.reader import read_all
from schemas.fills import decode_fill
from schemas.topics import fills_topic
from tests.conftest import Broker
from tests.eventually import eventually
from tests.local.composed import Composed
from tests.local.test_containers import ONE_SHOT, PARTS

PRICES = """
[[source]]
market = "BTC-PERP"
name = "venue"
kind = "http"
url = "{url}"
pointer = "/price"
"""
HEALTHY_WITHIN_S = 60.0
BTC = {"marketId": "BTC-PERP", "type": "LIMIT", "quantity": "0.1", "price": "60000"}


@pytest_asyncio.fixture(name="empty_database")
async def a_database_without_tables(postgres_dsn: str) -> AsyncIterator[str]:
    """What the container of PostgreSQL starts with."""
    session = await asyncpg.connect(postgres_dsn)
    await session.execute("CREATE DATABASE composed")
    yield postgres_dsn.replace("/perpetua?", "/composed?")
    await session.execute("DROP DATABASE composed WITH (FORCE)")
    await session.close()


@pytest_asyncio.fixture(name="venue")
async def a_venue_with_a_price() -> AsyncIterator[str]:
    """Somebody who says what a bitcoin costs."""

    async def price(_: web.Request) -> web.Response:
        return web.json_response({"price": "60000"})

    app = web.Application()
    app.router.add_get("/price", price)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/price"
    await runner.cleanup()


@pytest.fixture(name="composed")
def composed_on(empty_database: str, empty_broker: Broker, tmp_path: Path) -> Iterator[Composed]:
    """The file's services, none started yet."""
    composed = Composed(tmp_path, empty_database, empty_broker.bootstrap)
    yield composed
    composed.kill()


async def test_an_exchange_of_containers_trades_under_its_roles(
    composed: Composed, empty_broker: Broker, venue: str, tmp_path: Path
) -> None:
    """Prepared, started, healthy, priced; an administrator credits two users, whose trade is persisted and published."""
    (tmp_path / "prices.toml").write_text(PRICES.format(url=venue))
    for one_shot in ("migrate", "roles", "topics"):
        await asyncio.to_thread(composed.run, one_shot)
    assert {"migrate", "roles", "topics"} == ONE_SHOT
    for part in PARTS:
        composed.start(part)
    for part in PARTS:
        await eventually(partial(asyncio.to_thread, composed.is_healthy, part), HEALTHY_WITHIN_S, every_s=0.5)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{composed.ports['api']}") as session:
        await _open_the_market(composed)
        await _trade(session, await _funded_users(composed, session))

    async def published() -> list[str]:
        records = await read_all(empty_broker.bootstrap, fills_topic("BTC-PERP"))
        return [decode_fill(record.value).quantity for record in records]

    assert await eventually(published, HEALTHY_WITHIN_S) == ["0.1"]
    code, output = await asyncio.to_thread(composed.operate, *["tail", "--market", "BTC-PERP", "--from-sequence", "1"])
    assert code == 0
    assert [json.loads(line)["quantity"] for line in output.splitlines() if line.startswith("{")] == ["0.1"]
    assert (await asyncio.to_thread(composed.operate, "audit", "--deep"))[0] == 0
    assert set((await asyncio.to_thread(composed.stop)).values()) == {0}
    assert not [part for part in PARTS if "permission denied" in composed.log_of(part)]


async def _open_the_market(composed: Composed) -> None:
    """What an operator does in production: sources, then resume, which is refused until they have reported."""
    sources = ["market", "sources", "BTC-PERP", "--source", "venue"]
    assert (await asyncio.to_thread(composed.operate, *sources))[0] == 0

    async def is_resumed() -> bool:
        return (await asyncio.to_thread(composed.operate, "market", "resume", "BTC-PERP"))[0] == 0

    await eventually(is_resumed, HEALTHY_WITHIN_S, every_s=0.5)


async def _funded_users(composed: Composed, session: aiohttp.ClientSession) -> list[dict[str, str]]:
    """Two users with money from an administrator; their headers."""
    people = {name: await _user(session, name) for name in ("operator", "alice", "bob")}
    granted, _ = await asyncio.to_thread(composed.operate, "admin", "grant", "operator@example.org")
    assert granted == 0
    admin, *users = people.values()
    for user in users:
        body = {"asset": "USDC", "amount": "10000", "userId": user["userId"]}
        await _post(session, "/deposits", body, _bearer(admin), 201)
    return [_bearer(user) for user in users]


async def _trade(session: aiohttp.ClientSession, users: list[dict[str, str]]) -> None:
    async def is_open() -> bool:
        async with session.get("/markets/BTC-PERP") as answer:
            return bool((await answer.json())["status"] == "ACTIVE")

    async def fills() -> Any:
        async with session.get("/fills", headers=users[0]) as answer:
            return await answer.json()

    await eventually(is_open, HEALTHY_WITHIN_S)
    for side, user in zip(("BUY", "SELL"), users, strict=True):
        await _post(session, "/orders", {**BTC, "side": side}, user, 202)
    (fill,) = await eventually(fills, HEALTHY_WITHIN_S)
    assert (fill["price"], fill["quantity"]) == ("60000", "0.1")


async def _user(session: aiohttp.ClientSession, name: str) -> dict[str, str]:
    credentials = {"email": f"{name}@example.org", "password": "correct horse"}
    await _post(session, "/auth/register", credentials, {}, 201)
    known: dict[str, str] = await _post(session, "/auth/login", credentials, {}, 200)
    return known


async def _post(session: aiohttp.ClientSession, path: str, body: Any, headers: dict[str, str], status: int) -> Any:
    async with session.post(path, json=body, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def _bearer(user: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {user['token']}"}
