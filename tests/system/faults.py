"""Faults injected into the processes of a running exchange."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psutil

from app.crash_at import crash_mark
from bench.exchange_process import ROOT, ExchangeProcess
from store.crash_points import CrashPoint
from tests.eventually import eventually
from tests.system.verdict import MARKETS

BACK_WITHIN_S = 90.0


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """SIGSTOP for these processes and their children; SIGCONT at the end of the block."""
    whole = [*pids, *(child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True))]
    _send(signal.SIGSTOP, whole)
    try:
        yield
    finally:
        _send(signal.SIGCONT, whole)


@asynccontextmanager
async def hanging(exchange: ExchangeProcess, part: str) -> AsyncIterator[None]:
    """A part that takes connections and does nothing."""
    with frozen(exchange.children()[part]):
        yield


@asynccontextmanager
async def dead(exchange: ExchangeProcess, part: str) -> AsyncIterator[None]:
    """Kill a part and keep it down: its supervisor sleeps while the block lasts, then starts it again."""
    pid = exchange.children()[part]
    os.kill(exchange.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(exchange.pid, signal.SIGCONT)
    await started_again(exchange, part, pid)


async def strike(exchange: ExchangeProcess, part: str) -> None:
    """Send SIGKILL to a part, which may be restarting already; its supervisor starts another."""
    await eventually(lambda: _struck(exchange, part), BACK_WITHIN_S)


async def started_again(exchange: ExchangeProcess, part: str, pid: int) -> None:
    """Wait until a part is there that is not the process `pid`."""
    await eventually(lambda: exchange.children().get(part, pid) != pid, BACK_WITHIN_S)


@asynccontextmanager
async def standby_engine(exchange: ExchangeProcess, name: str = "standby") -> AsyncIterator[subprocess.Popen[bytes]]:
    """Another engine for all markets, in the group when the block starts, killed at its end."""
    path = standby_log(exchange, name)
    process = _engine_beside(exchange, path)
    try:
        await eventually(lambda: path.read_text().count("-PERP is up") >= len(MARKETS), BACK_WITHIN_S)
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def standby_log(exchange: ExchangeProcess, name: str) -> Path:
    """Where a standby writes its log: that of the latest of this name."""
    return exchange.data.with_name(f"{name}.log")


def hold(data: Path, point: CrashPoint) -> None:
    """Have an exchange whose points are armed pass this one unharmed."""
    mark = crash_mark(data, point)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def let_go(data: Path, point: CrashPoint) -> None:
    """Have the next process that comes to this point die there."""
    crash_mark(data, point).unlink()


def _struck(exchange: ExchangeProcess, part: str) -> bool:
    """Whether there was something to kill: a part that has died before is not there until it is started again."""
    pid = exchange.children().get(part)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _engine_beside(exchange: ExchangeProcess, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "app", "engine"],
            cwd=ROOT,
            env={**os.environ, **_bug_of(exchange), "DATA": str(exchange.data)},
            stdout=output,
            stderr=output,
        )


def _bug_of(exchange: ExchangeProcess) -> dict[str, str]:
    """The bug put into the exchange on purpose (mutations.py) is in its standbys too."""
    return {name: exchange.environment[name] for name in ("FAULT", "PYTHONPATH") if name in exchange.environment}


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
