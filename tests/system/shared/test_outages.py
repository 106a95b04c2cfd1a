"""The broker or PostgreSQL is down for a while, and everything recovers automatically."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_trader
from tests.eventually import eventually
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import dead, hanging
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, until_accepted

pytestmark = pytest.mark.timeout(400)  # a tree on a busy machine takes its time

Outage = Callable[[ExchangeProcess, str], AbstractAsyncContextManager[None]]
BID = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "59000"}
UNAVAILABLE_WITHIN_S = {"short": 20.0, "full": 4.0}  # two seconds, and what a busy machine adds
OVERLOADED_WITHIN_S = 60.0


@pytest.mark.parametrize(
    ("outage", "down_s"),
    [
        pytest.param(dead, 11, id="short-dead"),
        pytest.param(hanging, 11, id="short-hanging"),
        pytest.param(dead, 120, marks=FULL, id="full-dead"),
        pytest.param(hanging, 120, marks=FULL, id="full-hanging"),
    ],
)
async def test_a_broker_that_is_down_delays_orders_and_loses_none(
    any_exchange: Start, outage: Outage, down_s: int, measured: Measured
) -> None:
    """Orders are accepted, past the bound refused as OVERLOADED, cancels always accepted; no process needs a restart."""
    exchange = await any_exchange()
    parts = exchange.children()
    async with trading(exchange.url) as load, aiohttp.ClientSession(exchange.url) as session:
        trader = await make_trader(session, "10000")
        resting = await _rest(session, trader)
        async with outage(exchange, "broker"):
            until = time.monotonic() + down_s
            await until_accepted(load, 20)
            await eventually(lambda: load.replies[503, "OVERLOADED"], OVERLOADED_WITHIN_S)
            await eventually(lambda: _is_refused_as_overloaded(session, trader), OVERLOADED_WITHIN_S)
            assert await _status(session, "DELETE", f"/orders/{resting}", trader) == 202
            await _time_is(until)
        began = time.monotonic()
        await healed(exchange)
        measured(f"everything persisted after a broker was down for {down_s} s", time.monotonic() - began)
        await until_accepted(load, 20)
        async with session.get(f"/orders/{resting}", headers=trader.headers) as answer:
            assert (await answer.json())["status"] == "CANCELLED"
    assert {**exchange.children(), "broker": 0} == {**parts, "broker": 0}
    await nothing_is_lost_or_doubled(exchange, load)
    measured("events, each written with one content only", await one_event_a_sequence(exchange))


@pytest.mark.parametrize(
    ("outage", "down_s", "size"),
    [
        pytest.param(dead, 4, "short", id="short-dead"),
        pytest.param(hanging, 3, "short", id="short-hanging"),
        pytest.param(dead, 60, "full", marks=FULL, id="full-dead"),
        pytest.param(hanging, 60, "full", marks=FULL, id="full-hanging"),
    ],
)
async def test_a_database_that_is_down_is_answered_in_time_and_heals(
    any_exchange: Start, outage: Outage, down_s: int, size: str, measured: Measured
) -> None:
    """503 UNAVAILABLE within two seconds for orders and reads, never an empty list; afterwards everything continues."""
    exchange = await any_exchange()
    parts = exchange.children()
    async with trading(exchange.url) as load, aiohttp.ClientSession(exchange.url) as session:
        trader = await make_trader(session, "10000")
        await until_accepted(load, 20)
        async with outage(exchange, "postgres"):
            until = time.monotonic() + down_s
            slowest_s = await _refused_until(until, session, trader)
        began = time.monotonic()
        await until_accepted(load, 20)
        await healed(exchange)
        measured(f"orders persisted after PostgreSQL was down for {down_s} s", time.monotonic() - began)
    measured("slowest 503", slowest_s)
    assert slowest_s <= UNAVAILABLE_WITHIN_S[size]
    assert load.replies[503, "UNAVAILABLE"] > 0
    assert {**exchange.children(), "postgres": 0} == {**parts, "postgres": 0}
    await nothing_is_lost_or_doubled(exchange, load)


async def _refused_until(until: float, session: aiohttp.ClientSession, trader: Trader) -> float:
    """From the first refusal on, every read is refused with 503; the longest that any of them took, the first included."""
    slowest_s, is_refused = 0.0, False
    while time.monotonic() < until:
        for path in ("/orders", "/fills", "/balances", "/markets"):
            began = time.monotonic()
            status = await _status(session, "GET", path, trader)
            slowest_s = max(slowest_s, time.monotonic() - began)
            is_refused = is_refused or status == 503
            assert status == 503 or not is_refused, path
        await asyncio.sleep(0.05)
    assert is_refused
    return slowest_s


async def _rest(session: aiohttp.ClientSession, trader: Trader) -> str:
    async with session.post("/orders", json=BID, headers=trader.headers) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["orderId"])


async def _is_refused_as_overloaded(session: aiohttp.ClientSession, trader: Trader) -> bool:
    async with session.post("/orders", json=BID, headers=trader.headers) as answer:
        return answer.status == 503 and int(answer.headers["Retry-After"]) > 0


async def _status(session: aiohttp.ClientSession, method: str, path: str, trader: Trader) -> int:
    async with session.request(method, path, headers=trader.headers) as answer:
        await answer.read()
        return answer.status


async def _time_is(moment: float) -> None:
    """The outage continues until then."""
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
