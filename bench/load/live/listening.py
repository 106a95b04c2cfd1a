"""An audience in a process of its own, and what it hears."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from bench.load.job import ROOT, LoadFailed
from bench.load.live.audience import LINE_BYTES_MAX
from bench.load.live.job import Audience, Heard

QUIET_S = 0.5


class Listening:
    """The process of an audience that is connected."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def count(self) -> None:
        """Count from now on."""
        await self.ask(b"count")

    async def heard(self) -> Heard:
        """What has come until now."""
        return msgspec.json.decode(await self.ask(b"report"), type=Heard)

    async def all_heard(self) -> Heard:
        """What has come, once nothing comes any more."""
        heard = await self.heard()
        while True:
            await asyncio.sleep(QUIET_S)
            before, heard = heard, await self.heard()
            if heard.bytes == before.bytes:
                return heard

    async def ask(self, line: bytes) -> bytes:
        """Send a line; the line that answers it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        return await self.line()

    async def line(self) -> bytes:
        """The next line that it prints."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise LoadFailed((await self._process.stderr.read()).decode())
        return line


@asynccontextmanager
async def listening(audience: Audience) -> AsyncIterator[Listening]:
    """Connect it; at the end it vanishes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load.live.audience"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    listeners = Listening(process)
    try:
        await listeners.ask(msgspec.json.encode(audience))
        yield listeners
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
