"""An exchange of single parts, each a process that an operator has started by hand, on its own database and broker."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from click.testing import CliRunner

from app.cli import cli
from app.local.process import bound_to_this_process, free_port
from bench.exchange_process import ROOT
from tests.conftest import Broker
from tests.eventually import eventually

UP_WITHIN_S = 60.0


class Parts:
    """Processes by the order in which they were started, and the commands run with them."""

    def __init__(self, dsn: str, broker: Broker, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.dsn, self.folder = dsn, folder
        self._environment = {
            **os.environ,
            "DATABASE_URL": dsn,
            "BROKER_URL": broker.bootstrap,
            "DATA": str(folder / "data"),
            "PORT": self.url.rpartition(":")[2],
            "SESSION_TIMEOUT_S": "3",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, tree: Path = ROOT, **environment: str) -> subprocess.Popen[bytes]:
        """Start `python -m app …` of this or another release's tree and let it run; further settings by their names."""
        with (self.folder / f"part-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                bound_to_this_process([sys.executable, "-m", "app", *words], signal.SIGKILL),
                cwd=tree,
                env=self._environment | environment,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        """What a part has logged so far."""
        return (self.folder / f"part-{self._processes.index(process)}.log").read_text()

    async def until_up(self, process: subprocess.Popen[bytes], *units: str) -> None:
        """Wait until a part says of each of these that it is up."""
        await eventually(lambda: all(f"{unit} is up" in self.log_of(process) for unit in units), UP_WITHIN_S)

    async def until_ready(self) -> None:
        """Wait until the API answers."""

        async def is_ready() -> bool:
            try:
                async with session.get("/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        async with aiohttp.ClientSession(self.url) as session:
            await eventually(is_ready, UP_WITHIN_S)

    async def command(self, *words: str) -> tuple[int, str]:
        """Type `python -m app …`, in a thread of this process; exit code and output."""
        typed = await asyncio.to_thread(CliRunner(env=self._environment).invoke, cli, words)
        return typed.exit_code, typed.output

    async def listed(self, *words: str) -> list[dict[str, Any]]:
        """The rows of a listing; `status` ends with 1 while a market lags far behind."""
        code, printed = await self.command(*words, "--json")
        assert code in (0, 1), printed
        rows: list[dict[str, Any]] = msgspec.json.decode(printed)
        return rows

    async def end(self, process: subprocess.Popen[bytes]) -> int:
        """SIGTERM; its exit code."""
        process.terminate()
        return await asyncio.to_thread(process.wait)

    def kill_all(self) -> None:
        """Send SIGKILL to every process still running."""
        for process in self._processes:
            process.kill()
            process.wait()
