"""What an operator does to a running exchange, by the command line and as an administrator."""

import asyncio
import json
import os
import sys
from decimal import Decimal
from typing import Any

import aiohttp

from bench.exchange_process import ROOT, ExchangeProcess
from bench.load.generator import PASSWORD, Trader, make_trader
from schemas.wire import RULES_VERSION
from tests.eventually import eventually
from tests.system.conftest import Start
from tests.system.shared.listing import LIKE_BTC, add_market
from tests.system.verdict import MARKETS

MARKET = "OPERATED-PERP"
MARKET_BUY = {"marketId": MARKET, "side": "BUY", "type": "MARKET", "quantity": "0.001"}


async def test_an_operator_halts_moves_and_drains_a_market(any_exchange: Start) -> None:
    """Status and index change through the market's log; drains are for administrators; unknown names are wrong use."""
    exchange = await any_exchange()
    await add_market(exchange, MARKET, LIKE_BTC)
    async with aiohttp.ClientSession(exchange.url) as session:
        trader = await make_trader(session, "1000")
        await _halt_and_resume(exchange, session, trader)
        await _move_the_index(exchange, session)
        await _move_the_rules(exchange)
        await _set_risk_tiers(exchange, session, trader)
        await _follow_an_order(session, trader, await make_trader(session, "1000"))
        await _drain_as_administrator(exchange, session, trader)
        await _end_a_market(exchange, session, trader)
    assert (await exchange.command("market", "halt", "NOPE-PERP"))[0] == 2
    assert (await exchange.command("engine", "--market", "NOPE-PERP"))[0] == 2
    assert (await exchange.command("market", "set-index", MARKET, "1e3"))[0] == 2


async def test_an_operator_adds_a_market_and_says_what_its_index_is_made_of(any_exchange: Start) -> None:
    """Listed, matched and priced without a restart; without fresh prices it waits; twice is wrong use."""
    exchange = await any_exchange()
    sol = {"tickSize": "0.01", "lotSize": "0.1", "maxQuantity": "100000", "referencePrice": "150"}
    assert await add_market(exchange, "SOL-PERP", sol) == (0, "SOL-PERP is ACTIVE\n")
    assert (await add_market(exchange, "SOL-PERP", sol))[0] == 2
    assert (await exchange.command("market", "sources", "SOL-PERP", "--source", "a:2:5000"))[0] == 0
    assert (await exchange.command("market", "set-index", "SOL-PERP", "151"))[0] == 1
    code, printed = await exchange.command("market", "resume", "SOL-PERP")
    assert (code, "SOL-PERP is CANCEL_ONLY" in printed) == (1, True)
    feed = asyncio.create_task(_feed(exchange, "SOL-PERP", "a=random-walk:start=151,seed=1,stepPpm=0,noisePpm=0"))
    async with aiohttp.ClientSession(exchange.url) as session:
        assert await eventually(lambda: _mark_when_open(session, "SOL-PERP")) == "151"
    feed.cancel()
    await asyncio.wait([feed])
    assert (await exchange.command("prices", "--market", "NOPE-PERP", "--source", "a=random-walk:start=1"))[0] == 2
    assert (await exchange.command("market", "sources", "SOL-PERP", "--none"))[0] == 0


async def _feed(exchange: ExchangeProcess, market: str, source: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "prices", "--market", market, "--source", source),
        cwd=ROOT,
        env={**os.environ, "DATA": str(exchange.data)},
    )
    try:
        await process.wait()
    finally:
        process.terminate()
        await process.wait()


async def _mark_when_open(session: aiohttp.ClientSession, market: str) -> str | None:
    async with session.get(f"/markets/{market}") as answer:
        body = await answer.json()
    return str(body["markPrice"]) if body["status"] == "ACTIVE" else None


async def _halt_and_resume(exchange: ExchangeProcess, session: aiohttp.ClientSession, trader: Trader) -> None:
    assert await exchange.command("market", "halt", MARKET) == (0, f"{MARKET} is HALTED\n")
    status, body = await _post(session, "/orders", MARKET_BUY, trader)
    assert (status, body["error"]["code"]) == (409, "MARKET_NOT_ACTIVE")
    assert (await exchange.command("market", "resume", MARKET))[0] == 0
    status, _ = await _post(session, "/orders", MARKET_BUY, trader)
    assert status == 202


async def _move_the_index(exchange: ExchangeProcess, session: aiohttp.ClientSession) -> None:
    assert (await exchange.command("market", "set-index", MARKET, "61000.5"))[0] == 0
    async with session.get(f"/markets/{MARKET}") as answer:
        market = await answer.json()
    assert [Decimal(market[name]) for name in ("indexPrice", "markPrice")] == [Decimal("61000.5")] * 2
    code, printed = await exchange.command("status", "--json")
    assert code == 0
    lags = {row["market"]: row["behind"] for row in json.loads(printed)}
    assert {*MARKETS, MARKET} <= lags.keys()
    assert max(lags.values()) <= 1  # the clock ticks every second


async def _move_the_rules(exchange: ExchangeProcess) -> None:
    version = str(RULES_VERSION)
    assert await exchange.command("market", "rules", MARKET, version) == (0, f"{MARKET} has rules {version}\n")
    assert (await exchange.command("market", "rules", MARKET, str(RULES_VERSION + 1)))[0] == 2
    for listing, name in ((("market", "list"), "id"), (("status",), "market")):
        rows = json.loads((await exchange.command(*listing, "--json"))[1])
        assert {row["rules"] for row in rows if row[name] == MARKET} == {RULES_VERSION}


async def _set_risk_tiers(exchange: ExchangeProcess, session: aiohttp.ClientSession, trader: Trader) -> None:
    """Through the log of a running exchange: published, and the next order keeps to them; then one tier again."""
    tier = {"notionalUpTo": "100", "initialMarginRate": "0.05", "maintenanceMarginRate": "0.005", "maxLeverage": 20}
    file = exchange.data / "limits.json"
    file.write_text(json.dumps({"riskTiers": [tier]}))
    code, printed = await exchange.command("market", "set", MARKET, str(file))
    assert (code, printed.splitlines()[-1]) == (0, f"{MARKET} is changed"), printed
    async with session.get(f"/markets/{MARKET}/risk-tiers") as answer:
        assert await answer.json() == [tier]
    status, body = await _post(session, "/orders", MARKET_BUY | {"quantity": "0.002"}, trader)
    assert (status, body["error"]["details"]["filter"]) == (400, "MAX_POSITION")
    file.write_text('{"riskTiers": []}')
    assert (await exchange.command("market", "set", "NOPE-PERP", str(file)))[0] == 2
    assert (await exchange.command("market", "set", MARKET, str(file)))[0] == 0


async def _follow_an_order(session: aiohttp.ClientSession, maker: Trader, taker: Trader) -> None:
    """Through relay, engine and projection: every hop of the maker's order, and what everybody sees of its trade."""
    bid = {"marketId": MARKET, "side": "BUY", "type": "LIMIT", "quantity": "0.002", "price": "61000"}
    placed = (await _post(session, "/orders", bid, maker))[1]["orderId"]
    async with session.post("/orders", json=MARKET_BUY | {"side": "SELL"}, headers=taker.headers) as sold:
        seen = {"X-Wait-For-Command": sold.headers["X-Command-Id"]}
    async with session.get(f"/orders/{placed}/trace", headers=maker.headers | seen) as answer:
        hops = (await answer.json())["hops"]
    names = ["ACCEPTED", "RELAYED", "MATCHED", "PERSISTED", "FILLED"]  # the last two in either order
    assert sorted((hop["hop"], hop["isDone"]) for hop in hops) == sorted((name, True) for name in names)
    assert [hop["hop"] for hop in hops[:3]] == names[:3]
    by_name = {hop["hop"]: hop for hop in hops}
    times = [hop["time"] for hop in hops]
    assert times == sorted(times)
    assert hops[1]["time"][:-4] <= hops[2]["time"][:-4] <= by_name["PERSISTED"]["time"][:-4]  # the log has milliseconds
    bodies = {}
    for name in ("orderbook", "trades", "candles", "ticker"):
        async with session.get(f"/markets/{MARKET}/{name}", headers=seen) as answer:
            bodies[name] = await answer.json()
    assert bodies["orderbook"]["bids"] == [{"price": "61000", "quantity": "0.001", "orders": 1}]
    assert [trade["tradeId"] for trade in bodies["trades"]["data"]] == [by_name["FILLED"]["tradeId"]]
    assert [candle["volume"] for candle in bodies["candles"]["data"]][-1] == bodies["ticker"]["volume24h"] == "0.001"


async def _drain_as_administrator(exchange: ExchangeProcess, session: aiohttp.ClientSession, trader: Trader) -> None:
    status, body = await _post(session, "/admin/drain", {}, trader)
    assert (status, body["error"]["code"]) == (403, "FORBIDDEN")
    email = "operator@load.example"
    await _post(session, "/auth/register", {"email": email, "password": PASSWORD})
    other = "other-operator@load.example"
    await _post(session, "/auth/register", {"email": other, "password": PASSWORD})
    for each in (email, other):
        assert (await exchange.command("admin", "grant", each))[0] == 0
    _, login = await _post(session, "/auth/login", {"email": email, "password": PASSWORD})
    operator = Trader(login["userId"], {"Authorization": f"Bearer {login['token']}"})
    status, drained = await _post(session, "/admin/drain", {}, operator)
    assert status == 200
    assert {*MARKETS, MARKET} <= {market["marketId"] for market in drained["markets"]}
    assert drained["processed"] >= 2
    assert (await exchange.command("admin", "revoke", email))[0] == 0
    assert (await _post(session, "/admin/drain", {}, operator))[0] == 403


async def _end_a_market(exchange: ExchangeProcess, session: aiohttp.ClientSession, trader: Trader) -> None:
    """In two steps: reduce-only orders, then nothing; both sides are closed at one price, and the books balance."""
    code, printed = await exchange.command("market", "settle", MARKET, "--yes")
    assert (code, printed.splitlines()[-1]) == (0, f"{MARKET} is SETTLEMENT_ONLY")
    assert "2 positions (open interest 0.001) are open" in printed
    status, body = await _post(session, "/orders", MARKET_BUY, trader)
    assert (status, body["error"]["code"]) == (409, "MARKET_NOT_ACTIVE")
    assert (await exchange.command("market", "resume", MARKET))[0] == 1, "it never goes back"
    code, printed = await exchange.command("market", "settle", MARKET, "--final", "--yes")
    assert (code, printed.splitlines()[-1].partition(":")[0]) == (0, f"{MARKET} is SETTLED")
    price = printed.splitlines()[-1].rpartition(" ")[2]
    again = await exchange.command("market", "settle", MARKET, "--final")
    assert again == (0, f"{MARKET} is SETTLED: its positions were closed at {price}\n")
    async with session.get("/positions", headers=trader.headers) as answer:
        assert await answer.json() == []
    assert (await exchange.command("audit", "--deep"))[0] == 0


async def _post(
    session: aiohttp.ClientSession, path: str, body: dict[str, Any], trader: Trader | None = None
) -> tuple[int, Any]:
    async with session.post(path, json=body, headers=trader.headers if trader else {}) as answer:
        return answer.status, await answer.json()
