"""Starting: what prevents it is reported, and what fails on the way is repaired."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import yaml

from app.local.postgres import EmbeddedPostgres
from bench.exchange_process import ROOT, ExchangeProcess
from bench.load.generator import Trader, make_traders, send_orders
from store.session.advisory_locks import LockClass, share_lock
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.conftest import Start


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


async def test_a_broker_that_dies_is_started_again_and_everything_continues(any_exchange: Start) -> None:
    """Its death takes no order with it: it starts at its old address with its log, no other process is replaced."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, 4)
    before = exchange.children()
    load = asyncio.create_task(send_orders(exchange.url, traders, 400))
    os.kill(before["broker"], signal.SIGKILL)
    await eventually(lambda: _broker_of(exchange) not in (None, before["broker"]))
    outcome = await load
    assert outcome.cut == 0
    assert outcome.statuses.keys() <= {202, 503}
    assert outcome.accepted
    await _check_nothing_is_lost(exchange, outcome.accepted)
    after = exchange.children()
    assert {name for name in before if after[name] != before[name]} == {"broker"}
    assert not any("rebuilding" in line for line in exchange.printed)


async def test_the_start_says_its_stages_and_a_killed_part_is_reported(any_exchange: Start) -> None:
    """One line a stage, `ready` last; a part that is killed is named with the time, and so is its new process."""
    exchange = await any_exchange()
    stages = [line.split()[0] for line in exchange.printed if not line.startswith("waiting for the workers")]
    ready = stages.index("ready")
    assert set(stages[:ready]) == {"starting", "postgres", "broker", "tables", "topics", "metrics", "workers", "api"}
    assert stages[0] == "starting"
    assert stages.index("postgres") < stages.index("tables") < stages.index("topics") < stages.index("api") < ready
    before = exchange.children()["publisher"]
    os.kill(before, signal.SIGKILL)
    after = await eventually(lambda: _another(exchange, "publisher", before))
    killed, again = exchange.printed[-2:]
    assert killed.endswith(f"publisher (process {before}) was killed by SIGKILL")
    assert again.endswith(f"publisher was started again (process {after})")
    assert killed[:19] <= again[:19]


async def test_prometheus_finds_every_process_at_a_port_that_stays(any_exchange: Start) -> None:
    """DATA/prometheus.yml has the address of each; a worker that is started again is at its old one, the next to the API's."""
    exchange = await any_exchange()
    file = yaml.safe_load((exchange.data / "prometheus.yml").read_text())
    targets = {group["labels"]["process"]: group["targets"] for group in file["scrape_configs"][0]["static_configs"]}
    addresses = {name: f"http://{address}/metrics" for name, (address,) in targets.items()}
    before = exchange.children()["clock"]
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: _another(exchange, "clock", before))
    assert await eventually(lambda: _workers_at(exchange, addresses), every_s=0.5)
    (rules,) = file["rule_files"]
    assert Path(rules) == ROOT / "docs/operate/alerts.yml"
    assert file["global"]["external_labels"]["runbooks"] == (ROOT / "docs/recover.md").as_uri()


async def _workers_at(exchange: ExchangeProcess, addresses: dict[str, str]) -> bool:
    """Whether every process is where the file says, and answers there."""
    _, printed = await exchange.command("status", "--workers", "--json")
    if {row["process"]: row["metrics"] for row in json.loads(printed)} != addresses:
        return False
    async with aiohttp.ClientSession() as session:
        for address in addresses.values():
            async with session.get(address) as answer:
                assert answer.status == 200
    return True


def _another(exchange: ExchangeProcess, name: str, before: int) -> int | None:
    """The process that took the place of one."""
    now = _published(exchange).get(name)
    return now if now not in {None, before} else None


async def test_a_lost_folder_of_the_broker_is_rebuilt(tmp_path: Path) -> None:
    """Deleted, or of an older release that had none: the next start continues with an empty broker and the full database.

    A worker that was started by hand and is still at the old one is named, and waited for.
    """
    exchange = ExchangeProcess(tmp_path / "data")
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
    await _check_nothing_is_lost(exchange, order_ids)
    code, printed = await exchange.command("rebuild", "--yes")
    assert (code, "workers run" in printed) == (1, True), "no rebuild while workers run"
    assert await exchange.stop() == 0
    await exchange.start()
    assert not any("rebuilding" in line for line in exchange.printed), "once is enough"
    assert await exchange.stop() == 0


async def test_a_broker_killed_while_the_tree_starts_does_not_stop_the_start(tmp_path: Path) -> None:
    """It is started again, and the start continues."""
    exchange = ExchangeProcess(tmp_path / "data")
    starting = asyncio.create_task(exchange.start())
    broker = await eventually(lambda: _broker_of(exchange))
    os.kill(broker, signal.SIGKILL)
    await starting
    await eventually(lambda: _broker_of(exchange) not in (None, broker))
    assert (await exchange.command("drain"))[0] == 0
    assert await exchange.stop() == 0


async def _check_nothing_is_lost(exchange: ExchangeProcess, order_ids: list[tuple[Trader, str]]) -> None:
    """Every order that was accepted is answered, the books balance, and the new broker's log is that of the rows."""
    assert (await exchange.command("drain"))[0] == 0
    async with aiohttp.ClientSession(exchange.url) as session:
        statuses = [await _status(session, trader.headers, order_id) for trader, order_id in order_ids]
    assert "PENDING" not in statuses
    for words in (("audit",), ("verify", "--market", "BTC-PERP")):
        code, printed = await exchange.command(*words)
        assert code == 0, printed


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


async def _status(session: aiohttp.ClientSession, headers: dict[str, str], order_id: str) -> str:
    async with session.get(f"/orders/{order_id}", headers=headers) as answer:
        return str((await answer.json())["status"])
