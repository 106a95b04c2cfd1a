"""The owner of a market killed again and again: with a standby, and without one, restarted by the supervisor."""

import os
import signal
from contextlib import AsyncExitStack

import pytest

from app.operator import market_states
from bench.exchange_process import ExchangeProcess
from bench.measures.order_wait import waited_s
from bench.whole import users_of
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import BACK_WITHIN_S, standby_engine, standby_log, strike
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, settings_of

pytestmark = pytest.mark.timeout(400)

MARKET = "BTC-PERP"
_ARE_TWO = """SELECT bool_and(count = 2) FROM (
SELECT count(*) FROM group_members WHERE group_id LIKE 'engine-%' AND server_started = pg_postmaster_start_time()
GROUP BY group_id) AS groups"""  # a row of before a restart of PostgreSQL may stay: nobody is removed by it
KILLS = pytest.mark.parametrize("kills", [pytest.param(1, id="short"), pytest.param(20, marks=FULL, id="full")])


@KILLS
async def test_a_standby_takes_over_from_each_killed_owner(any_exchange: Start, kills: int, measured: Measured) -> None:
    """An order sent at the moment of the kill is matched by the standby; nothing is lost, nothing is written twice."""
    exchange = await any_exchange()
    seconds = []
    async with trading(exchange.url, clients=2) as load, AsyncExitStack() as stack:
        (trader,) = await users_of(exchange, 1, "with-a-standby")
        standby = await stack.enter_async_context(standby_engine(exchange))
        for _ in range(kills):
            await _until_two_are_shown(exchange)
            owner = await _owner(exchange)
            seconds.append(await _killed(exchange, owner, trader.token))
            if owner == standby.pid:
                standby = await stack.enter_async_context(standby_engine(exchange))
            await healed(exchange)
    await nothing_is_lost_or_doubled(exchange, load)
    await one_event_a_sequence(exchange)
    _report(measured, "with a standby", seconds)


@KILLS
async def test_an_owner_started_again_takes_over_from_itself(
    any_exchange: Start, kills: int, measured: Measured
) -> None:
    """No standby: the supervisor starts another process, which need not wait for the session of the dead one."""
    exchange = await any_exchange()
    seconds = []
    async with trading(exchange.url, clients=2) as load:
        (trader,) = await users_of(exchange, 1, "started-again")
        for _ in range(kills):
            seconds.append(await _killed(exchange, exchange.children()["engine"], trader.token))
            await healed(exchange)
    await nothing_is_lost_or_doubled(exchange, load)
    await one_event_a_sequence(exchange)
    _report(measured, "started again", seconds)


@pytest.mark.chaos
async def test_a_restart_of_postgresql_removes_nobody(any_exchange: Start) -> None:
    """Every process loses its session at once, and none of them is gone."""
    exchange = await any_exchange()
    log = exchange.data / "log" / "engine.log"
    async with trading(exchange.url, clients=2) as load, standby_engine(exchange):
        await _until_two_are_shown(exchange)
        size = log.stat().st_size
        await strike(exchange, "postgres")
        await healed(exchange)
        await _until_two_are_shown(exchange)
        for written in (log.read_bytes()[size:], standby_log(exchange, "standby").read_bytes()):
            assert b"its process is gone" not in written
    await nothing_is_lost_or_doubled(exchange, load)


async def _owner(exchange: ExchangeProcess) -> int:
    """The process id of the one owner of the market."""

    async def owner() -> int:
        shown = {row["market"]: row["owner"] for row in await market_states(settings_of(exchange))}
        _, _, pid = (shown[MARKET] or "").rpartition(":")
        return int(pid) if pid.isdecimal() and "," not in shown[MARKET] else 0

    return await eventually(owner, BACK_WITHIN_S)


async def _killed(exchange: ExchangeProcess, pid: int, token: str) -> float:
    """Kill a process and send an order; the seconds until it is matched."""
    os.kill(pid, signal.SIGKILL)
    return await waited_s(exchange.url, token, MARKET)


async def _until_two_are_shown(exchange: ExchangeProcess) -> None:
    """Wait until each group of the engines has its owner and a standby."""
    async with session_to(settings_of(exchange).database_url) as session:
        await eventually(lambda: session.fetchval(_ARE_TWO), BACK_WITHIN_S)


def _report(measured: Measured, what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    measured(f"seconds until an order is matched, {what}: p50", round(ordered[len(ordered) // 2], 2))
    measured(f"seconds until an order is matched, {what}: p90", round(ordered[-1 - len(ordered) // 10], 2))
    measured(f"seconds until an order is matched, {what}: worst", round(ordered[-1], 2))
