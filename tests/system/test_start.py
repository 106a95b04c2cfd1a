"""Starting: what stands in the way is told, and what breaks on the way is begun again."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bench.exchange_process import ROOT, ExchangeProcess
from bench.load import Trader, make_traders, send_orders
from store.advisory_locks import Room, share_lock
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import Start


def test_a_port_that_is_taken_is_told_and_nothing_starts(tmp_path: Path) -> None:
    """Else the `ready` line would name somebody else's server."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        environment = {**os.environ, "DATA": str(tmp_path / "data"), "DEMO": "0", "PORT": port}
        command = [sys.executable, "-m", "app", "run"]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert run.returncode == 2
    assert port in run.stderr
    assert not (tmp_path / "data" / "postgres").exists()


@pytest.mark.chaos  # most of a minute
async def test_an_embedded_broker_that_dies_is_replaced_and_the_api_stays(any_exchange: Start) -> None:
    """Its death takes no order with it: PostgreSQL and the API go on, the logs are rebuilt, verify finds nothing lost.

    A worker that was started beside it ends, instead of waiting at the old broker; for one that stays the tree waits.
    """
    exchange = await any_exchange("embedded")
    traders = await make_traders(exchange.url, 4)
    before = exchange.children()
    load = asyncio.create_task(send_orders(exchange.url, traders, 1_000))
    async with _projection_beside(exchange) as beside:
        async with _another_worker(exchange):
            os.kill(before["broker"], signal.SIGKILL)
            await eventually(lambda: any("workers run" in line for line in exchange.printed), within_s=60)
        await eventually(lambda: _is_rebuilt(exchange, before), within_s=60)
        assert await asyncio.wait_for(beside.wait(), 20) != 0, "it does not wait at the old one"
    after = exchange.children()
    assert {name: after[name] for name in ("api", "postgres")} == {name: before[name] for name in ("api", "postgres")}
    outcome = await load
    assert outcome.cut == 0
    assert outcome.statuses.keys() <= {202, 503}
    assert outcome.taken
    await _check_nothing_is_lost(exchange, outcome.taken)
    code, printed = await exchange.command("verify", "--market", "ETH-PERP", "--json")
    assert (code, json.loads(printed)["differences"]) == (0, [])
    code, printed = await exchange.command("rebuild", "--yes")
    assert (code, "workers run" in printed) == (1, True), "no rebuild beside workers"


@pytest.mark.chaos  # most of a minute
async def test_an_embedded_broker_that_is_full_is_replaced(tmp_path: Path) -> None:
    """An empty one takes its place under load; every order is answered, and the log of the new one is right."""
    exchange = ExchangeProcess(tmp_path / "data", "embedded", environment={"EMBEDDED_BROKER_MAX_MIB": "26"})
    await exchange.start()
    traders, before = await make_traders(exchange.url, 4), exchange.children()
    taken: list[tuple[Trader, str]] = []
    while _broker_of(exchange) == before["broker"]:
        taken += (await send_orders(exchange.url, traders, 200)).taken
    await eventually(lambda: _is_rebuilt(exchange, before), within_s=60)
    assert any("is full" in line for line in exchange.printed)
    await _check_nothing_is_lost(exchange, taken)
    assert await exchange.stop() == 0


async def test_a_broker_lost_while_the_tree_starts_is_replaced(tmp_path: Path) -> None:
    """The start begins again instead of waiting for workers that never come."""
    exchange = ExchangeProcess(tmp_path / "data", "embedded")
    starting = asyncio.create_task(exchange.start())
    broker = await eventually(lambda: _broker_of(exchange), within_s=60)
    os.kill(broker, signal.SIGKILL)
    await starting
    assert exchange.children()["broker"] != broker
    assert (await exchange.command("drain"))[0] == 0
    assert await exchange.stop() == 0


async def _check_nothing_is_lost(exchange: ExchangeProcess, taken: list[tuple[Trader, str]]) -> None:
    """Every order that was taken is answered, the books balance, and the new broker's log is that of the rows."""
    assert (await exchange.command("drain"))[0] == 0
    async with aiohttp.ClientSession(exchange.url) as session:
        statuses = [await _status(session, trader.headers, order_id) for trader, order_id in taken]
    assert "PENDING" not in statuses
    for words in (("audit",), ("verify", "--market", "BTC-PERP")):
        code, printed = await exchange.command(*words)
        assert code == 0, printed


@asynccontextmanager
async def _another_worker(exchange: ExchangeProcess) -> AsyncIterator[None]:
    """What shows that a worker runs, whichever broker it was told."""
    async with session_to(json.loads((exchange.data / "run.json").read_text())["databaseUrl"]) as session:
        assert await share_lock(session, Room.WORKERS)
        yield


@asynccontextmanager
async def _projection_beside(exchange: ExchangeProcess) -> AsyncIterator[asyncio.subprocess.Process]:
    """A standby as an operator starts it, with DATA alone, once it stands by."""
    log = exchange.data / "beside.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "projection"),
            cwd=ROOT,
            env={**os.environ, "DATA": str(exchange.data)},
            stdout=output,
            stderr=output,
        )
    try:
        await eventually(lambda: "projection-BTC-PERP is up" in log.read_text(), within_s=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _is_rebuilt(exchange: ExchangeProcess, before: dict[str, int]) -> bool:
    now = _published(exchange)
    return {"broker", "engine", "projection", "relay"} <= now.keys() and now["broker"] != before["broker"]


def _broker_of(exchange: ExchangeProcess) -> int | None:
    """The broker's process id, once the workers are being started."""
    return _published(exchange).get("broker")


def _published(exchange: ExchangeProcess) -> dict[str, int]:
    """Its parts; none while it is being put together, when the list may go at any moment."""
    try:
        return exchange.children()
    except FileNotFoundError:
        return {}


async def _status(session: aiohttp.ClientSession, headers: dict[str, str], order_id: str) -> str:
    async with session.get(f"/orders/{order_id}", headers=headers) as answer:
        return str((await answer.json())["status"])
