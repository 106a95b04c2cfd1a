"""What a running exchange says of its parts, and what becomes of a part that dies."""

import asyncio
import json
import os
import signal
from pathlib import Path

import aiohttp
import yaml

from bench.exchange_process import ROOT, ExchangeProcess
from bench.load.generator import make_traders, send_orders
from tests.eventually import eventually
from tests.system.conftest import Start
from tests.system.faults import started_again
from tests.system.verdict import all_are_answered


async def test_a_broker_that_dies_is_started_again_and_everything_continues(any_exchange: Start) -> None:
    """Its death takes no order with it: it starts at its old address with its log, no other process is replaced."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, 4)
    before = exchange.children()
    load = asyncio.create_task(send_orders(exchange.url, traders, 400))
    os.kill(before["broker"], signal.SIGKILL)
    await started_again(exchange, "broker", before["broker"])
    outcome = await load
    assert outcome.cut == 0
    assert outcome.statuses.keys() <= {202, 503}
    assert outcome.accepted
    await all_are_answered(exchange, outcome.accepted)
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
    await started_again(exchange, "publisher", before)
    after = exchange.children()["publisher"]
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
    await started_again(exchange, "clock", before)
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
