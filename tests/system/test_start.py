"""Starting: what prevents it is reported, what was lost before or fails on the way is repaired."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from app.local.postgres import EmbeddedPostgres
from bench.exchange_process import ROOT, ExchangeProcess
from bench.load.generator import make_traders, send_orders
from store.session.advisory_locks import LockClass, share_lock
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import FULL
from tests.system.patient_load import trading
from tests.system.verdict import (
    all_are_answered,
    nothing_is_lost_or_doubled,
    one_event_a_sequence,
    until_accepted,
)

LOST_BYTES_MAX = 20_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    """One for this file, not started yet. A test goes on with what the test before has left, in its folder or running."""
    exchange = ExchangeProcess(tmp_path_factory.mktemp("start") / "data")
    yield exchange
    if exchange.is_running:
        await exchange.stop()


def test_a_port_in_use_is_reported_and_nothing_starts(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("cuts", [pytest.param(1, id="short"), pytest.param(20, marks=FULL, id="full")])
@pytest.mark.timeout(1_200)
async def test_a_power_cut_tears_every_log_and_loses_nothing(exchange: ExchangeProcess, cuts: int) -> None:
    """The end of each log is gone, or zeros: what PostgreSQL has is sent again, and gives the same events and fills."""
    await exchange.start()
    chance = random.Random(13)  # noqa: S311 - the same damage on every run
    async with trading(exchange.url) as load:
        for _ in range(cuts):
            await until_accepted(load, 60)
            await exchange.kill_all()
            assert _tear_logs(exchange.data / "kafka" / "log", chance) > 0
            await exchange.start()
            load.url = exchange.url
    await nothing_is_lost_or_doubled(exchange, load, are_logs_torn=True)
    await one_event_a_sequence(exchange)


async def test_a_lost_folder_of_the_broker_is_rebuilt(exchange: ExchangeProcess) -> None:
    """Deleted, or of an older release that had none: the next start continues with an empty broker and the full database.

    A worker that was started by hand and is still at the old one is named, and waited for.
    """
    if not exchange.is_running:
        await exchange.start()
    traders = await make_traders(exchange.url, 4)
    order_ids = (await send_orders(exchange.url, traders, 200)).accepted
    assert (await exchange.command("drain"))[0] == 0
    assert await exchange.stop() == 0
    shutil.rmtree(exchange.data / "kafka")
    starting = asyncio.create_task(exchange.start())
    async with _another_worker(exchange):
        await eventually(lambda: any("workers run" in line for line in exchange.printed))
    await starting
    order_ids += (await send_orders(exchange.url, traders, 200)).accepted
    await all_are_answered(exchange, order_ids)
    code, printed = await exchange.command("rebuild", "--yes")
    assert (code, "workers run" in printed) == (1, True), "no rebuild while workers run"
    assert await exchange.stop() == 0


async def test_a_broker_killed_while_the_tree_starts_does_not_stop_the_start(exchange: ExchangeProcess) -> None:
    """It is started again, and the start continues. A broker that was rebuilt before is not rebuilt again."""
    if exchange.is_running:
        assert await exchange.stop() == 0
    starting = asyncio.create_task(exchange.start())
    broker = await eventually(lambda: _broker_of(exchange))
    os.kill(broker, signal.SIGKILL)
    await starting
    await eventually(lambda: _broker_of(exchange) not in (None, broker))
    assert not any("rebuilding" in line for line in exchange.printed)
    assert (await exchange.command("drain"))[0] == 0
    assert await exchange.stop() == 0


def _tear_logs(folder: Path, chance: random.Random) -> int:
    """Take the last bytes of every log of ours, or leave zeros in their place; how many logs were torn."""
    torn = 0
    for partition in sorted(folder.glob("*-0")):
        segment = max(partition.glob("*.log"))
        whole = segment.read_bytes().rstrip(b"\0")  # an active segment may be longer than what it holds
        lost = chance.randint(0, min(LOST_BYTES_MAX, len(whole)))
        if not partition.name.startswith("__") and lost:
            segment.write_bytes(whole[:-lost] + chance.choice((b"", b"\0" * lost)))
            torn += 1
    return torn


@asynccontextmanager
async def _another_worker(exchange: ExchangeProcess) -> AsyncIterator[None]:
    """What shows that a worker runs, whichever broker it is at."""
    dsn = EmbeddedPostgres(exchange.data / "postgres").dsn
    await eventually(lambda: _takes_sessions(dsn))
    async with session_to(dsn) as session:
        assert await share_lock(session, LockClass.WORKERS)
        yield


async def _takes_sessions(dsn: str) -> bool:
    try:
        async with session_to(dsn):
            return True
    except (OSError, asyncpg.PostgresError):
        return False


def _broker_of(exchange: ExchangeProcess) -> int | None:
    """The broker's process id, once the workers are being started."""
    return _published(exchange).get("broker")


def _published(exchange: ExchangeProcess) -> dict[str, int]:
    """Its parts; none while it is being put together, when the list may go at any moment."""
    try:
        return exchange.children()
    except FileNotFoundError:
        return {}
