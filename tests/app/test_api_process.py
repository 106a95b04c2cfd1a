"""An API process does what its environment says: each setting that protects it takes effect in the answers."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio

from api.access.tokens import Tokens
from app.local.process import free_port
from app.operator import now
from store.users.users import create_user
from tests.api.exchange import Client
from tests.app.test_settings import PRODUCTION
from tests.eventually import eventually
from tests.store.account_builder import session_to

ROOT = Path(__file__).parents[2]
BEFORE = "Before-9Qw7_LmN2xY8bTt5RcU0pAs4HdF"
STRICT = {
    "JWT_SECRET_PREVIOUS": BEFORE,
    "BEHIND_TLS": "1",
    "TRUSTED_PROXIES": "127.0.0.1",
    "RATE_LIMIT_PUBLIC": "1/hour",
    "RATE_LIMIT_ORDERS": "2/hour",
}


@pytest_asyncio.fixture(name="nobody")
async def caller_of_a_strict_api(database: str) -> AsyncIterator[Client]:
    """`python -m app api` in production, behind a proxy, with few calls an hour; a client without a token."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "api"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **STRICT, "DATABASE_URL": database, "PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            client = Client(session, f"http://127.0.0.1:{port}")
            await eventually(lambda: _is_ready(client))
            yield client
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_security_settings_take_effect(nobody: Client, database: str) -> None:
    """TLS is insisted on, clients behind the proxy are distinguished, both secrets are valid, limits hold, deposits are closed."""
    headers = [{"X-Forwarded-For": address} for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")]
    public = [await nobody.call("GET", "/markets", headers=each) for each in headers]
    assert [reply.status for reply in public] == [200, 200, 429]
    assert {reply.headers["RateLimit-Policy"] for reply in public} == {'"public";q=1;w=3600'}
    assert {reply.headers["Strict-Transport-Security"] for reply in public} == {"max-age=31536000"}
    async with session_to(database) as session:
        user = await create_user(session, "alice@example.com", "none", now())
    assert user is not None
    old, new, foreign = [Tokens(secret, now).issue(user) for secret in (BEFORE, PRODUCTION["JWT_SECRET"], BEFORE[::-1])]
    statuses = [(await _as(nobody, token).get("/balances")).status for token in (old, new, foreign)]
    assert statuses == [200, 200, 401]
    alice = _as(nobody, new)
    assert (await alice.deposit()).code == "FORBIDDEN"
    assert [(await alice.order()).status for _ in range(3)][2] == 429


def _as(client: Client, token: str) -> Client:
    return Client(client.session, client.url, token)


async def _is_ready(client: Client) -> bool:
    try:
        return (await client.get("/readyz")).status == 200
    except aiohttp.ClientError:
        return False
