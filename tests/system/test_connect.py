"""Programs of others trade on the demo: the examples of the clients, as a user runs them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bench.exchange_process import ROOT, ExchangeProcess

EXAMPLES = ROOT / "clients" / "python" / "examples"


@dataclass(frozen=True)
class Demo:
    """A running demo, and an API key of a user of it with 10,000 USDC."""

    url: str
    key_id: str
    secret: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """One demo for this file."""
    exchange = ExchangeProcess(tmp_path_factory.mktemp("connect") / "data", demo=True)
    await exchange.start()
    yield await _with_key(exchange)
    await exchange.stop()


async def _with_key(exchange: ExchangeProcess) -> Demo:
    credential = json.loads((exchange.data / "demo.json").read_bytes())["alice"]
    async with aiohttp.ClientSession(exchange.url, raise_for_status=True) as session:
        async with session.post("/auth/login", json=credential) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        body = {"label": "connect", "scopes": ["read", "trade"]}
        async with session.post("/api-keys", json=body, headers=headers) as answer:
            made = await answer.json()
    return Demo(exchange.url, made["key"]["keyId"], made["secret"])


async def test_the_first_trade_is_filled_and_closed(demo: Demo) -> None:
    """Bought and sold, each with its fill."""
    lines = await _run(EXAMPLES / "first_trade.py", demo.url, demo.secret)
    assert [line.split()[:3] for line in lines if not line.startswith(" ")] == [
        ["BUY", "FILLED", "0.01"],
        ["SELL", "FILLED", "0.01"],
    ]
    assert sum("fill" in line for line in lines) >= 2


async def test_quotes_follow_the_mark_and_end_with_the_program(demo: Demo) -> None:
    """Two orders, of which none is open afterwards."""
    lines = await _run(EXAMPLES / "quote.py", demo.url, demo.secret, "3")
    assert {line.split()[0] for line in lines} == {"BUY", "SELL"}
    async with aiohttp.ClientSession(demo.url) as session:
        headers = {"Authorization": f"Bearer {demo.secret}"}
        async with session.get("/orders?status=OPEN,PARTIALLY_FILLED,PENDING", headers=headers) as answer:
            assert (await answer.json())["data"] == []


async def test_the_book_and_trades_are_shown(demo: Demo) -> None:
    """Without a key."""
    lines = await _run(EXAMPLES / "follow_book.py", demo.url, "4")
    assert any(line.startswith("book") for line in lines)


async def _run(program: Path, *words: str) -> list[str]:
    """What a program prints; it must end well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")}

    def run() -> str:
        command = [sys.executable, str(program), *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return (await asyncio.to_thread(run)).splitlines()
