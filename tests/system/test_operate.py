"""What an operator does to a running exchange, by the command line and as an administrator."""

import json
from decimal import Decimal
from typing import Any

import aiohttp

from bench.exchange_process import ExchangeProcess
from bench.load import PASSWORD, Trader, make_trader
from schemas.wire import RULES_VERSION
from tests.system.conftest import Start

MARKET_BUY = {"marketId": "BTC-PERP", "side": "BUY", "type": "MARKET", "quantity": "0.001"}


async def test_an_operator_halts_moves_and_drains_a_market(any_exchange: Start) -> None:
    """Status and index change through the market's log; drains are for administrators; unknown names are wrong use."""
    exchange = await any_exchange("embedded")
    async with aiohttp.ClientSession(exchange.url) as session:
        trader = await make_trader(session, "1000")
        await _halt_and_resume(exchange, session, trader)
        await _move_the_index(exchange, session)
        await _move_the_rules(exchange)
        await _drain_as_administrator(exchange, session, trader)
    assert (await exchange.command("market", "halt", "NOPE-PERP"))[0] == 2
    assert (await exchange.command("engine", "--market", "NOPE-PERP"))[0] == 2
    assert (await exchange.command("market", "set-index", "BTC-PERP", "1e3"))[0] == 2


async def _halt_and_resume(exchange: ExchangeProcess, session: aiohttp.ClientSession, trader: Trader) -> None:
    assert await exchange.command("market", "halt", "BTC-PERP") == (0, "BTC-PERP is HALTED\n")
    status, body = await _post(session, "/orders", MARKET_BUY, trader)
    assert (status, body["error"]["code"]) == (409, "MARKET_NOT_ACTIVE")
    assert (await exchange.command("market", "resume", "BTC-PERP"))[0] == 0
    status, _ = await _post(session, "/orders", MARKET_BUY, trader)
    assert status == 202


async def _move_the_index(exchange: ExchangeProcess, session: aiohttp.ClientSession) -> None:
    assert (await exchange.command("market", "set-index", "BTC-PERP", "61000.5"))[0] == 0
    async with session.get("/markets/BTC-PERP") as answer:
        market = await answer.json()
    assert [Decimal(market[name]) for name in ("indexPrice", "markPrice")] == [Decimal("61000.5")] * 2
    code, printed = await exchange.command("status", "--json")
    assert code == 0
    assert {row["market"]: row["behind"] for row in json.loads(printed)} == {"BTC-PERP": 0, "ETH-PERP": 0}


async def _move_the_rules(exchange: ExchangeProcess) -> None:
    version = str(RULES_VERSION)
    assert await exchange.command("market", "rules", "BTC-PERP", version) == (0, f"BTC-PERP has rules {version}\n")
    assert (await exchange.command("market", "rules", "BTC-PERP", str(RULES_VERSION + 1)))[0] == 2
    for listing in (("market", "list", "--json"), ("status", "--json")):
        rows = json.loads((await exchange.command(*listing))[1])
        assert {row["rules"] for row in rows} == {RULES_VERSION}


async def _drain_as_administrator(exchange: ExchangeProcess, session: aiohttp.ClientSession, trader: Trader) -> None:
    status, body = await _post(session, "/admin/drain", {}, trader)
    assert (status, body["error"]["code"]) == (403, "FORBIDDEN")
    email = "operator@load.example"
    await _post(session, "/auth/register", {"email": email, "password": PASSWORD})
    assert (await exchange.command("admin", "grant", email))[0] == 0
    _, login = await _post(session, "/auth/login", {"email": email, "password": PASSWORD})
    operator = Trader(login["userId"], {"Authorization": f"Bearer {login['token']}"})
    status, drained = await _post(session, "/admin/drain", {}, operator)
    assert status == 200
    assert [market["marketId"] for market in drained["markets"]] == ["BTC-PERP", "ETH-PERP"]
    assert drained["processed"] >= 2


async def _post(
    session: aiohttp.ClientSession, path: str, body: dict[str, Any], trader: Trader | None = None
) -> tuple[int, Any]:
    async with session.post(path, json=body, headers=trader.headers if trader else {}) as answer:
        return answer.status, await answer.json()
