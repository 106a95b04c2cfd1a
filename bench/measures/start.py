"""How long `make run` takes until it is ready, what it holds in memory then, and what it costs while nobody trades.

The first start has an empty folder, each later one the folder of the one before. Packages and jars are there already.
"""

import asyncio
import time
from pathlib import Path

from bench.exchange_process import ExchangeProcess
from bench.result import Bar, Outcome, Row, alone
from bench.sizes import Size
from bench.watching import processor_s, tree_of

MIB = 2**20
SETTLED_AFTER_S = 30.0  # Java compiles what it has just run
READY_BAR = Bar(8, is_floor=False, unit="s")
IDLE_BAR = Bar(0.06, is_floor=False, unit="cores")


async def measure(folder: Path, size: Size) -> Outcome:
    """An exchange without the demo, started again and again on one folder; then left alone."""
    exchange, ready_s = ExchangeProcess(folder / "started"), []
    for _ in range(1 + size.starts):
        began = time.monotonic()
        await exchange.start()
        ready_s.append(time.monotonic() - began)
        tree = tree_of(exchange.pid)
        if len(ready_s) <= size.starts:
            await exchange.stop()
    resident = {process.pid: process.memory_info().rss / MIB for process in tree}
    await asyncio.sleep(min(SETTLED_AFTER_S, size.idle_s))
    cores = await _cores(exchange, size.idle_s)
    broker = resident[exchange.children()["broker"]]
    await exchange.stop()
    return Outcome([*_ready_rows(ready_s), *_memory_rows(broker, sum(resident.values())), _idle_row(cores)])


def _ready_rows(ready_s: list[float]) -> list[Row]:
    return [
        alone("start", "until ready, empty folder", "s", ready_s[:1]),
        alone("start", "until ready, again", "s", ready_s[1:], READY_BAR),
    ]


def _memory_rows(broker: float, whole: float) -> list[Row]:
    return [
        alone("start", "resident when ready: Kafka", "MiB", [broker]),
        alone("start", "resident when ready: all processes, shared pages counted in each", "MiB", [whole]),
    ]


def _idle_row(cores: float) -> Row:
    return alone("start", "two markets, nobody trades", "cores", [cores], IDLE_BAR)


async def _cores(exchange: ExchangeProcess, seconds: float) -> float:
    """Processor time of the whole tree, of one second."""
    before, began = processor_s(exchange.pid), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    return (processor_s(exchange.pid) - before) / took
