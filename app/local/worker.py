"""One of the exchange's own commands as a supervised child; its output goes to a log file, or prefixed to stderr."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from app.local.process import BoundProcess, open_log

STOP_GRACE_S = 10.0


class Worker:
    """One command, started again with the same arguments each time; without `env` it inherits the environment."""

    def __init__(
        self, name: str, argv: list[str], *, env: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._name = name
        self._argv = argv
        self._env = env
        self._log = log
        self._process: BoundProcess | None = None
        self._printing: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    async def start(self) -> str:
        """Start the command; it has no address of its own. Raises OSError when it cannot be started."""
        if self._log is not None:
            with open_log(self._log) as log:
                self._process = await BoundProcess.spawn(self._argv, output=log, env=self._env)
        else:
            self._process = await BoundProcess.spawn(self._argv, output=asyncio.subprocess.PIPE, env=self._env)
            if self._process.output is not None:
                self._printing = asyncio.create_task(self._print(self._process.output))
        return ""

    async def wait(self) -> int:
        """Wait until it has ended and its last output is printed; returns its exit code."""
        code = await self._process.wait() if self._process else 0
        if self._printing:
            await asyncio.wait([self._printing], timeout=1)
        return code

    async def stop(self) -> None:
        """SIGTERM, ten seconds to finish its work, then SIGKILL to its process group."""
        if self._process:
            await self._process.end((signal.SIGTERM, STOP_GRACE_S))
            await self.wait()

    async def _print(self, output: asyncio.StreamReader) -> None:
        """Read in blocks, not lines: an endless line must not block a child or fill the memory."""
        rest = b""
        while block := await output.read(65_536):
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > 65_536:
                lines, rest = [*lines, rest], b""
            self._write(lines)
        self._write([rest] if rest else [])

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            sys.stderr.write(f"{self._name:<12} {line.decode(errors='replace')}\n")
        sys.stderr.flush()
