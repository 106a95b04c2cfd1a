"""What `make run` shows: prices that move, a shock, and what is left of it without a demo."""

import json
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from tests.eventually import eventually
from tests.system.conftest import Start

MARKETS = ["BTC-PERP", "ETH-PERP", "SOL-PERP"]


@pytest.mark.timeout(400)  # two starts of a demo, on a machine that may be busy
async def test_a_shock_moves_the_index_of_the_demo_and_without_its_prices_markets_wait(start_exchange: Start) -> None:
    """Three markets of three sources each; -6 % within seconds; started again without the demo they take no orders."""
    exchange = await start_exchange(demo=True)
    assert any("carol@demo.example" in line for line in exchange.printed)
    carol = json.loads((exchange.data / "demo.json").read_bytes())["carol"]
    async with aiohttp.ClientSession(exchange.url) as session:
        assert [market["id"] for market in await _get(session, "/markets")] == MARKETS
        async with session.post("/auth/login", json=carol) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        [position] = await eventually(lambda: _get(session, "/positions", headers))
        assert (position["marketId"], position["leverage"]) == ("BTC-PERP", 20)
        await eventually(lambda: _reported_by_the_demo(exchange, session), every_s=0.5)
        before = await _index(session)
        assert (await exchange.command("demo", "shock", "BTC-PERP", "-6"))[0] == 0
        await eventually(lambda: _has_fallen(session, before * Decimal("0.945")))
    assert (await exchange.command("demo", "shock", "NOPE-PERP", "-6"))[0] == 2
    await exchange.stop()
    await _start_without_demo(exchange)


async def _start_without_demo(exchange: ExchangeProcess) -> None:
    """Nothing reports prices now: the markets close when the last ones are too old, and the operator sees it."""
    exchange.environment["DEMO"] = "0"
    await exchange.start()
    assert sum("until its price sources report" in line for line in exchange.printed) == 3
    await eventually(lambda: _all_are(exchange, "CANCEL_ONLY"), every_s=1)
    code, _ = await exchange.command("market", "sources", "SOL-PERP", "--none")
    assert code == 0
    assert (await exchange.command("market", "sources", "SOL-PERP", "--json"))[1].strip() == "[]"
    _, printed = await exchange.command("status", "--json")
    assert {row["market"]: row["status"] for row in json.loads(printed)}["SOL-PERP"] == "ACTIVE"


async def _reported_by_the_demo(exchange: ExchangeProcess, session: aiohttp.ClientSession) -> bool:
    """`status --workers` says where the demo counts the prices that it reports."""
    _, printed = await exchange.command("status", "--workers", "--json")
    metrics = {row["process"]: row["metrics"] for row in json.loads(printed)}.get("demo")
    if metrics is None:
        return False
    async with session.get(metrics) as answer:
        return 'perpetua_prices_reported_total{market="BTC-PERP"' in await answer.text()


async def _all_are(exchange: ExchangeProcess, status: str) -> bool:
    _, printed = await exchange.command("status", "--json")
    return {row["status"] for row in json.loads(printed)} == {status}


async def _has_fallen(session: aiohttp.ClientSession, below: Decimal) -> bool:
    return await _index(session) < below


async def _index(session: aiohttp.ClientSession) -> Decimal:
    return Decimal((await _get(session, "/markets/BTC-PERP"))["indexPrice"])


async def _get(session: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> Any:
    async with session.get(path, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.json()
