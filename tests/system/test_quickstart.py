"""docs/quickstart.md, typed exactly as printed into a shell next to a running demo."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from bench.exchange_process import ROOT
from tests.system.conftest import Start


def _typed(url: str) -> str:
    """The blocks of the page after `make run`, for the exchange at this address; a busy machine is waited for, not slept for."""
    first, *others = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(), re.DOTALL)
    assert first == "make run\n"
    script = "".join(others).replace("sleep 1\n", ".venv/bin/python -m app drain > /dev/null\n")
    return script.replace("http://127.0.0.1:8080", url).replace(".venv/bin/python", sys.executable)


def _shell(script: str, data: Path) -> str:
    environment = {**os.environ, "DATA": str(data)}
    return subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


async def test_the_quick_start_leads_to_a_first_fill(start_exchange: Start) -> None:
    """The order is filled against the demo's maker, the fill and the position are shown, and the books balance; who can log in is printed at the start."""
    exchange = await start_exchange(demo=True)
    assert any("alice@demo.example" in line for line in exchange.printed)
    printed = await asyncio.to_thread(_shell, _typed(exchange.url), exchange.data)
    registered, deposited, order, fills, positions, closing, audit = printed.splitlines()
    assert json.loads(registered)["userId"]
    assert json.loads(deposited)["total"] == "10000"
    assert json.loads(order)["status"] == "FILLED"
    assert [fill["quantity"] for fill in json.loads(fills)["data"]] == ["0.01"]
    assert [(held["side"], held["quantity"]) for held in json.loads(positions)] == [("LONG", "0.01")]
    assert json.loads(closing)["status"] == "PENDING"
    assert "balanced" in audit
    assert await exchange.stop() == 0
