"""The owner of a market killed again and again: with a standby, and without one, restarted by the supervisor."""

from contextlib import AsyncExitStack

import pytest

from bench.exchange_process import ExchangeProcess
from bench.measures.take_over import owner_of, waited_after_kill_s
from bench.result import percentile
from bench.whole import users_of
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import BACK_WITHIN_S, standby_engine, standby_log, strike
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, settings_of

pytestmark = pytest.mark.timeout(400)

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
            owner = await eventually(lambda: owner_of(exchange), BACK_WITHIN_S)
            seconds.append(await waited_after_kill_s(exchange, owner, trader.token))
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
            seconds.append(await waited_after_kill_s(exchange, exchange.children()["engine"], trader.token))
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


async def _until_two_are_shown(exchange: ExchangeProcess) -> None:
    """Wait until each group of the engines has its owner and a standby."""
    async with session_to(settings_of(exchange).database_url) as session:
        await eventually(lambda: session.fetchval(_ARE_TWO), BACK_WITHIN_S)


def _report(measured: Measured, what: str, seconds: list[float]) -> None:
    for name, share in (("p50", 0.5), ("p90", 0.9), ("worst", 1.0)):
        measured(f"seconds until an order is matched, {what}: {name}", round(percentile(seconds, share), 2))
