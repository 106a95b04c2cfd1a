"""What `make run` shows: the quick start, prices that move, a shock, and what is left of it without a demo."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bench.exchange_process import ROOT, ExchangeProcess
from tests.eventually import eventually

MARKETS = ["BTC-PERP", "ETH-PERP", "SOL-PERP"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    """A running demo; the last test of this file stops it."""
    exchange = ExchangeProcess(tmp_path_factory.mktemp("demo") / "data", demo=True)
    await exchange.start()
    yield exchange
    if exchange.is_running:
        await exchange.stop()


async def test_the_quick_start_leads_to_a_first_fill(demo: ExchangeProcess) -> None:
    """The order is filled against the demo's maker, the fill and the position are shown, and the books balance; who can log in is printed at the start."""
    assert any("alice@demo.example" in line for line in demo.printed)
    printed = await asyncio.to_thread(_shell, _typed(demo.url), demo.data)
    registered, deposited, order, fills, positions, closing, audit = printed.splitlines()
    assert json.loads(registered)["userId"]
    assert json.loads(deposited)["total"] == "10000"
    assert json.loads(order)["status"] == "FILLED"
    assert [fill["quantity"] for fill in json.loads(fills)["data"]] == ["0.01"]
    assert [(held["side"], held["quantity"]) for held in json.loads(positions)] == [("LONG", "0.01")]
    assert json.loads(closing)["status"] == "PENDING"
    assert "balanced" in audit


async def test_the_demo_lives_on_when_parts_of_it_are_killed(demo: ExchangeProcess) -> None:
    """15 levels a side; after a kill of the engine and the API every market trades again; alice and bob have not; the books balance to the micro."""
    async with aiohttp.ClientSession(demo.url) as session:
        await eventually(lambda: _has_levels(session, 15), every_s=0.5)
        for name in ("engine", "api"):
            os.kill(demo.children()[name], signal.SIGKILL)
        before = [await eventually(lambda market=market: _trades(session, market), every_s=0.2) for market in MARKETS]
        for market, trades in zip(MARKETS, before, strict=True):
            await eventually(lambda market=market, trades=trades: _has_traded(session, market, trades), every_s=0.5)
        for name in ("alice", "bob"):
            assert await _get(session, "/orders", await _token(session, demo, name)) == []
    assert (await demo.command("audit", "--deep"))[0] == 0


@pytest.mark.timeout(400)  # two starts of a demo, on a machine that may be busy
async def test_a_shock_moves_the_index_of_the_demo_and_without_its_prices_markets_wait(
    demo: ExchangeProcess,
) -> None:
    """Three markets of three sources each; -6 % within seconds; started again without the demo they take no orders."""
    assert any("carol@demo.example" in line for line in demo.printed)
    async with aiohttp.ClientSession(demo.url) as session:
        assert [market["id"] for market in await _get(session, "/markets")] == MARKETS
        headers = await _token(session, demo, "carol")
        [position] = await eventually(lambda: _get(session, "/positions", headers))
        assert (position["marketId"], position["leverage"]) == ("BTC-PERP", 20)
        await eventually(lambda: _reported_by_the_demo(demo, session), every_s=0.5)
        before = await _index(session)
        assert (await demo.command("demo", "shock", "BTC-PERP", "-6"))[0] == 0
        await eventually(lambda: _has_fallen(session, before * Decimal("0.945")))
    assert (await demo.command("demo", "shock", "NOPE-PERP", "-6"))[0] == 2
    assert await demo.stop() == 0
    await _start_without_demo(demo)


def _typed(url: str) -> str:
    """The blocks of the page after `make run`, for the exchange at this address; a busy machine is waited for, not slept for."""
    first, *others = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(), re.DOTALL)
    assert first == "make run\n"
    script = "".join(others).replace("sleep 1\n", ".venv/bin/python -m app drain > /dev/null\n")
    return script.replace("http://127.0.0.1:8080", url).replace(".venv/bin/python", sys.executable)


def _shell(script: str, data: Path) -> str:
    environment = {**os.environ, "DATA": str(data)}
    return subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


async def _start_without_demo(exchange: ExchangeProcess) -> None:
    """Nothing reports prices now: the markets close when the last ones are too old, and the operator sees it."""
    exchange.environment["DEMO"] = "0"
    await exchange.start()
    assert sum("until its price sources report" in line for line in exchange.printed) == 3
    async with aiohttp.ClientSession(exchange.url) as session:
        await eventually(lambda: _all_are(session, "CANCEL_ONLY"), every_s=0.2)
    code, _ = await exchange.command("market", "sources", "SOL-PERP", "--none")
    assert code == 0
    assert (await exchange.command("market", "sources", "SOL-PERP", "--json"))[1].strip() == "[]"
    _, printed = await exchange.command("status", "--json")
    statuses = {row["market"]: row["status"] for row in json.loads(printed)}
    assert statuses == dict.fromkeys(MARKETS, "CANCEL_ONLY") | {"SOL-PERP": "ACTIVE"}


async def _reported_by_the_demo(exchange: ExchangeProcess, session: aiohttp.ClientSession) -> bool:
    """`status --workers` says where the demo counts the prices that it reports."""
    _, printed = await exchange.command("status", "--workers", "--json")
    metrics = {row["process"]: row["metrics"] for row in json.loads(printed)}.get("demo")
    if metrics is None:
        return False
    async with session.get(metrics) as answer:
        return 'perpetua_prices_reported_total{market="BTC-PERP"' in await answer.text()


async def _token(session: aiohttp.ClientSession, demo: ExchangeProcess, name: str) -> dict[str, str]:
    """The headers of a demo user who has just logged in."""
    credential = json.loads((demo.data / "demo.json").read_bytes())[name]
    async with session.post("/auth/login", json=credential) as answer:
        return {"Authorization": f"Bearer {(await answer.json())['token']}"}


async def _has_levels(session: aiohttp.ClientSession, count: int) -> bool:
    books = [await _get(session, f"/markets/{market}/orderbook?depth=50") for market in MARKETS]
    return all(len(book[side]) >= count for book in books for side in ("bids", "asks"))


async def _trades(session: aiohttp.ClientSession, market: str) -> int | None:
    """How many trades the market has had; None while the API does not answer."""
    try:
        return int((await _get(session, f"/markets/{market}/ticker"))["trades24h"])
    except aiohttp.ClientError:
        return None


async def _has_traded(session: aiohttp.ClientSession, market: str, before: int) -> bool:
    trades = await _trades(session, market)
    return trades is not None and trades > before


async def _all_are(session: aiohttp.ClientSession, status: str) -> bool:
    return {market["status"] for market in await _get(session, "/markets")} == {status}


async def _has_fallen(session: aiohttp.ClientSession, below: Decimal) -> bool:
    return await _index(session) < below


async def _index(session: aiohttp.ClientSession) -> Decimal:
    return Decimal((await _get(session, "/markets/BTC-PERP"))["indexPrice"])


async def _get(session: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> Any:
    async with session.get(path, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.json()
