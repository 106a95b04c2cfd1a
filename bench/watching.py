"""What an exchange holds while it works: memory of every process, sizes of tables, how far commands are persisted."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec
import psutil

from bench.exchange_process import ExchangeProcess
from bench.whole import settings_of

_SIZES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 12
"""
_PERSISTED = "SELECT sum(command_seq) FROM progress"


class Sample(msgspec.Struct, frozen=True, rename="camel"):
    """One look: seconds since the start, commands persisted so far, bytes by process and by table."""

    at_s: float
    persisted: int
    resident: dict[str, int]
    tables: dict[str, int]


@asynccontextmanager
async def watched(exchange: ExchangeProcess, every_s: float) -> AsyncIterator[list[Sample]]:
    """Samples at a fixed interval of seconds, at the start and again at the end."""
    samples: list[Sample] = []
    session = await asyncpg.connect(settings_of(exchange).database_url)
    began = time.perf_counter()

    async def look() -> None:
        samples.append(await _sample(exchange, session, time.perf_counter() - began))

    async def go_on() -> None:
        while True:
            await asyncio.sleep(every_s)
            await look()

    await look()
    looking = asyncio.create_task(go_on())
    try:
        yield samples
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        await look()
        await session.close()


def peak_bytes(samples: list[Sample]) -> dict[str, int]:
    """The most that each process has held."""
    names = {name for sample in samples for name in sample.resident}
    return {name: max(sample.resident.get(name, 0) for sample in samples) for name in sorted(names)}


def cpu_seconds(exchange: ExchangeProcess) -> dict[str, float]:
    """Processor time that each process has used so far, with all that it has started."""
    return {name: processor_s(pid) for name, pid in exchange.children().items()}


def resident_bytes(exchange: ExchangeProcess) -> dict[str, int]:
    """What each process holds in memory, its children included."""
    return {name: _resident(pid) for name, pid in exchange.children().items()}


def costs_of(exchange: ExchangeProcess, spent_before: dict[str, float], orders: int) -> str:
    """What each of these orders has cost each process since `spent_before`, in words."""
    used = cpu_seconds(exchange)
    each = {name: 1e6 * (used[name] - spent_before.get(name, 0.0)) / orders for name in used}
    shares = ", ".join(f"{name} {cost:.0f}" for name, cost in sorted(each.items(), key=lambda item: -item[1]))
    return f"processor time an order, us: {shares}; {sum(each.values()):.0f} in all."


def processor_s(pid: int) -> float:
    """Processor time of a process and of all that it has started, also of those that have ended; 0 if it has ended itself.

    The time of one that has ended is its parent's. Where one ends meanwhile, all are read again: its time would count twice, or not.
    """
    while psutil.pid_exists(pid):
        with suppress(psutil.NoSuchProcess):
            tree = tree_of(pid)
            spent = sum(_own_and_ended_s(each) for each in tree)
            if tree == tree_of(pid):
                return spent
    return 0.0


def tree_of(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, as far as they run."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


async def _sample(exchange: ExchangeProcess, session: "asyncpg.Connection[asyncpg.Record]", at_s: float) -> Sample:
    tables = {str(row[0]): int(row[1]) for row in await session.fetch(_SIZES)}
    return Sample(round(at_s, 1), int(await session.fetchval(_PERSISTED)), resident_bytes(exchange), tables)


def _own_and_ended_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _resident(pid: int) -> int:
    """Of the process and its children; what PostgreSQL's backends share counts once for each of them."""
    found = 0
    with suppress(psutil.NoSuchProcess):
        for each in tree_of(pid):
            with suppress(psutil.NoSuchProcess):
                found += each.memory_info().rss
    return found
