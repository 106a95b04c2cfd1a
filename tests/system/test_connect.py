"""Programs of others trade on the demo: the examples of the clients, and ccxt with its own checks."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bench.exchange_process import ROOT, ExchangeProcess
from bench.load.generator import make_trader
from perpetua_client import Client
from tests.clients.ccxt.foreign_python import run_foreign
from tests.eventually import eventually
from tests.system.conftest import FULL, Measured

EXAMPLES = ROOT / "clients" / "python" / "examples"
CHECKS = ROOT / "tests" / "clients" / "ccxt"
STATUSES = {"FILLED": "closed", "CANCELLED": "canceled", "EXPIRED": "expired", "REJECTED": "rejected"}


@dataclass(frozen=True)
class Demo:
    """A running demo, and an API key of its user alice."""

    exchange: ExchangeProcess
    url: str
    key_id: str
    secret: str

    @property
    def signed(self) -> tuple[str, str, str]:
        """What a program needs to sign."""
        return self.url, self.key_id, self.secret


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
    return Demo(exchange, exchange.url, made["key"]["keyId"], made["secret"])


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
    async with Client(demo.url, demo.secret) as client:
        await eventually(lambda: _has_no_open_order(client))


async def _has_no_open_order(client: Client) -> bool:
    return [order async for order in client.orders(status="OPEN,PARTIALLY_FILLED,PENDING")] == []


async def test_the_book_and_trades_are_shown(demo: Demo) -> None:
    """Without a key."""
    lines = await _run(EXAMPLES / "follow_book.py", demo.url, "4")
    assert any(line.startswith("book") for line in lines)


async def test_every_method_that_ccxt_is_promised_passes_its_own_checks(demo: Demo) -> None:
    """Sync, async and pro: each method of `has` is called, and what it returns has the structure that ccxt expects."""
    called = await run_foreign(CHECKS / "structures.py", *demo.signed)
    assert len(set(called)) > 50


@pytest.mark.parametrize("count", [pytest.param(60, id="short"), pytest.param(1_000, id="full", marks=FULL)])
async def test_orders_through_ccxt_end_as_rest_says(demo: Demo, count: int, measured: Measured) -> None:
    """Each is there once, under its clientOrderId, with the same end and the same fills."""
    user = await _new_user(demo)
    began = time.monotonic()
    lines = await run_foreign(CHECKS / "many_orders.py", *user.signed, str(count), timeout_s=1_200)
    measured(f"seconds for {count} orders through ccxt, edits, cancels and reads included", time.monotonic() - began)
    seen = {order["id"]: order for order in map(json.loads, lines)}
    async with Client(user.url, user.secret) as client:
        orders = {order.order_id: order async for order in client.orders()}
        fills = [fill async for fill in client.fills()]
    assert len(seen) == count
    assert set(seen) == set(orders)
    assert {order.client_order_id for order in orders.values()} == {f"ccxt-{number}" for number in range(count)}
    for order_id, order in orders.items():
        assert STATUSES[order.status] == seen[order_id]["status"], order
        assert order.filled_quantity == Decimal(str(seen[order_id]["filled"])), order
        assert order.filled_quantity == sum(fill.quantity for fill in fills if fill.order_id == order_id), order
    assert {"closed", "canceled"} <= {order["status"] for order in seen.values()}
    assert (await demo.exchange.command("audit"))[0] == 0


@pytest.mark.parametrize("seconds", [pytest.param(5, id="short"), pytest.param(600, id="full", marks=FULL)])
async def test_a_ccxt_bot_trades_on_the_demo(demo: Demo, seconds: int, measured: Measured) -> None:
    """It ends well and flat; nothing it did was refused."""
    user = await _new_user(demo)
    lines = await run_foreign(
        ROOT / "clients" / "ccxt" / "examples" / "bot.py", *user.signed, str(seconds), timeout_s=1_000
    )
    assert not [line for line in lines if line.startswith("refused")]
    measured(f"orders of the bot in {seconds} s, {lines[-1]}", int(lines[-1].split()[0]))
    async with Client(user.url, user.secret) as client:
        assert await client.positions() == []


async def test_every_command_of_the_page_leads_to_a_bot_that_trades(demo: Demo, tmp_path: Path) -> None:
    """From an account to bots on the Python client and on ccxt, in a fresh environment, as docs/connect.md says."""
    blocks = re.findall(r"^```sh\n(.*?)```", (ROOT / "docs" / "connect.md").read_text(), re.DOTALL | re.MULTILINE)
    script = "".join(blocks).replace("http://127.0.0.1:8080", demo.url).replace(".local/", f"{tmp_path}/")
    script = script.replace("make clients", f"make -s clients -o {ROOT}/.venv/.installed-dev -o .venv/.installed-dev")
    script = script.replace("python3 -m venv", f"{sys.executable} -m venv")
    printed = (await asyncio.to_thread(_shell, script)).splitlines()
    assert [line.split()[:2] for line in printed if " FILLED " in line and " at " in line][:2] == [
        ["BUY", "FILLED"],
        ["SELL", "FILLED"],
    ]
    assert any(re.fullmatch(r"\d+ orders, [\d.]+ USDC", line) for line in printed)
    assert "open True" in printed
    assert int(printed[-1].split()[0]) > 50


def _shell(script: str) -> str:
    return subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=300
    ).stdout


async def _new_user(demo: Demo) -> Demo:
    """Somebody new with 100,000 USDC and a key."""
    async with aiohttp.ClientSession(demo.url, raise_for_status=True) as session:
        trader = await make_trader(session, "100000")
        body = {"label": "ccxt", "scopes": ["read", "trade"]}
        async with session.post("/api-keys", json=body, headers=trader.headers) as answer:
            made = await answer.json()
    return Demo(demo.exchange, demo.url, made["key"]["keyId"], made["secret"])


async def _run(program: Path, *words: str) -> list[str]:
    """What a program prints; it must end well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")}

    def run() -> str:
        command = [sys.executable, str(program), *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return (await asyncio.to_thread(run)).splitlines()
