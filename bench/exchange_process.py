"""A whole exchange as a new user starts it: `python -m app run`, in its own folder."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.local.process import bound_to_this_process, port_or_free

ROOT = Path(__file__).parents[1]
READY_S = 150.0
HOST = "127.0.0.1"
PORTS = range(20_000, 32_000, 10)
"""For the API and the metrics after it. Below those that the system gives to clients, which take any of them while an exchange starts."""
_numbers = itertools.count(os.getpid() * 101)  # processes begin at different places
POLL_S = 0.05


class ExchangeProcess:
    """One process tree over one DATA folder; it can be stopped, or killed, and started again, from any event loop."""

    def __init__(self, data: Path, demo: bool = False, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.url = ""
        self._output = data.with_name(data.name + ".printed")
        self.environment = {
            "DATA": str(data),
            "DEMO": str(int(demo)),
            "PORT": str(_port_with_free_ones_after_it()),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def printed(self) -> list[str]:
        """The lines it has printed since its last start."""
        return self._output.read_text().splitlines()

    async def start(self) -> None:
        """Start it and wait for its line `ready … URL`."""
        self._process = self._spawn()
        async with asyncio.timeout(READY_S):
            while not self._is_ready():
                if self._process.poll() is not None:
                    raise AssertionError("\n".join(["it ended before it was ready:", *self.printed]))
                await asyncio.sleep(POLL_S)

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        return await asyncio.to_thread(self.end)

    def end(self) -> int:
        """The same where no event loop runs."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait()

    @property
    def pid(self) -> int:
        """Process id of the tree's root, the supervisor."""
        assert self._process is not None
        return self._process.pid

    async def kill_all(self) -> None:
        """Send SIGKILL to every process of the tree at once."""
        assert self._process is not None
        for pid in [self._process.pid, *self.children().values()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._output.open("wb") as output:
            return subprocess.Popen(
                bound_to_this_process([sys.executable, "-m", "app", "run"], signal.SIGTERM),
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _is_ready(self) -> bool:
        ready = [line for line in self.printed if line.startswith("ready")]
        if ready:
            self.url = ready[0].split()[-1]
        return bool(ready)

    def children(self) -> dict[str, int]:
        """Process ids of the tree's parts by name, as it published them."""
        return dict(self.published()["children"])

    def published(self) -> dict[str, Any]:
        """What the tree says of itself in DATA/run.json."""
        return dict(msgspec.json.decode((self.data / "run.json").read_bytes()))

    async def command(self, *words: str) -> tuple[int, str]:
        """Run `python -m app …` against the running exchange; exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", *words),
            cwd=ROOT,
            env={**os.environ, "DATA": str(self.data)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()


def _port_with_free_ones_after_it() -> int:
    while True:
        first = PORTS[next(_numbers) % len(PORTS)]
        if all(port_or_free(HOST, port) == port for port in range(first, first + PORTS.step)):
            return first
