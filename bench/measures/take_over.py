"""S4: how long an order waits that is sent at the moment its market's owner is killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.local.process import bound_to_this_process
from app.operator import market_states, processes
from bench.exchange_process import ROOT, ExchangeProcess
from bench.measures.order_wait import PROBED, waited_s
from bench.result import Bar, Outcome, Row, alone, percentile
from bench.sizes import Size
from bench.whole import drained, settings_of, users_of

LOOK_EVERY_S = 0.2
SETTLED_AFTER_S = 6.0
"""Longer than a session of Kafka: a member that has joined or died by then is in the group, or no longer."""
WITHIN_S = 120.0
P90, WORST, RESTARTED = (Bar(seconds, is_floor=False, unit="s") for seconds in (1, 2, 3))


async def measure(exchange: ExchangeProcess, size: Size) -> Outcome:
    """Kill the owner again and again: with a standby beside it, then with the supervisor alone."""
    (trader,) = await users_of(exchange, 1, "take-over")
    with_standby = []
    async with _standby(exchange):
        for _ in range(size.kills):
            await _settled(exchange, engines=2)
            with_standby.append(await waited_after_kill_s(exchange, await owner_of(exchange), trader.token))
    without = []
    for _ in range(size.kills):
        await _settled(exchange, engines=1)
        without.append(await waited_after_kill_s(exchange, await owner_of(exchange), trader.token))
    await drained(exchange)
    return Outcome(_rows("with a standby", with_standby, P90, WORST) + _rows("started again", without, None, RESTARTED))


def _rows(what: str, waits: list[float], p90: Bar | None, worst: Bar) -> list[Row]:
    return [
        alone("S4", f"owner killed, {what}: order matched, p90", "s", [percentile(waits, 0.9)], p90),
        alone("S4", f"owner killed, {what}: order matched, worst", "s", [max(waits)], worst),
    ]


async def waited_after_kill_s(exchange: ExchangeProcess, pid: int, token: str) -> float:
    """Kill a process and send an order; the seconds until it is matched."""
    os.kill(pid, signal.SIGKILL)
    return await waited_s(exchange.url, token, PROBED)


async def _settled(exchange: ExchangeProcess, engines: int) -> None:
    """Wait until so many engines are registered, one of them owns the market, and the group has assigned it."""
    for settled_after_s in (SETTLED_AFTER_S, 0.0):
        async with asyncio.timeout(WITHIN_S):
            while await _engines(exchange) != engines or not await owner_of(exchange):
                await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(settled_after_s)


async def _engines(exchange: ExchangeProcess) -> int:
    return sum(row["process"] == "engine" for row in await processes(settings_of(exchange)))


async def owner_of(exchange: ExchangeProcess) -> int:
    """Process id of the one owner of the market that is probed; 0 while there is none, or two are shown."""
    shown = {row["market"]: row["owner"] for row in await market_states(settings_of(exchange))}
    pid = str(shown[PROBED]).rpartition(":")[2]
    return int(pid) if pid.isdecimal() and "," not in str(shown[PROBED]) else 0


@asynccontextmanager
async def _standby(exchange: ExchangeProcess) -> AsyncIterator[None]:
    """A second engine, kept alive: if it is killed, another is started."""
    log = exchange.data.with_name("standby.log")
    keeping = asyncio.create_task(_keep(exchange, log))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def _keep(exchange: ExchangeProcess, log: Path) -> None:
    while True:
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *bound_to_this_process([sys.executable, "-m", "app", "engine"], signal.SIGTERM),
                cwd=ROOT,
                env={**os.environ, "DATA": str(exchange.data)},
                stdout=output,
                stderr=output,
            )
        try:
            await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
