"""`make bench`: every measure of the speed bars, compared with its yardstick in the same run.

BENCH=quick takes three minutes instead of ten; BENCH_ONLY=P4,P7 runs some of P1 to P7 and P9 to P12, `overload` and `start`. `make soak` measures P8 and S1 to S4.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.machine import describe
from bench.measures import (
    acceptance,
    book,
    completion,
    engine,
    flat,
    latency,
    markets,
    memory,
    overload,
    projection,
    soak,
    start,
    stops,
    take_over,
)
from bench.measures.live import broadcast, fills, orders
from bench.progress import Progress
from bench.report import folder_for, markdown, run_of, write_run
from bench.result import Outcome
from bench.servers import durable_postgres, kafka
from bench.sizes import SIZES, Size
from bench.whole import whole_exchange

MEASURES = ("P4", "P12", "P7", "P1", "P10", "P6", "P5", "P3", "P9", "P2", "P11", "overload", "start")
REPORTED = sorted(MEASURES, key=lambda name: (len(name), name))


class Bench:
    """One run: which measures, how much of each, and the results."""

    def __init__(self, folder: Path, size: Size, wanted: set[str]) -> None:
        self._folder = folder
        self._size = size
        self._wanted = wanted
        self.outcomes: dict[str, Outcome] = {}
        self._progress = Progress(len(wanted | {"P1"} if "P2" in wanted else wanted))

    async def run(self) -> list[Outcome]:
        """What needs nothing first, then what needs a database, then the whole tree: each alone on the machine."""
        if "P4" in self._wanted:
            self._progress.begin("P4")
            self._print("P4", book.measure(self._size))
        if "P12" in self._wanted:
            self._progress.begin("P12")
            self._print("P12", stops.measure(self._size))
        if "P7" in self._wanted:
            self._progress.begin("P7")
            self._print("P7", memory.measure(self._size))
        if self._wanted & {"P1", "P2", "P5", "P6", "P10"}:
            await self._on_a_database()
        if self._wanted & {"P2", "P3", "P9"}:
            await self._on_the_whole_tree()
        if "P11" in self._wanted:
            self._progress.begin("P11")
            folder = self._place("subscribers")
            async with whole_exchange(folder) as exchange:
                self._print("P11", await broadcast.measure(exchange, folder, self._size))
        if "overload" in self._wanted:
            self._progress.begin("overload")
            async with whole_exchange(self._place("overload")) as exchange:
                self._print("overload", await overload.measure(exchange, self._size))
        if "start" in self._wanted:
            self._progress.begin("start")
            self._print("start", await start.measure(self._place("start"), self._size))
        return [self.outcomes[name] for name in REPORTED if name in self._wanted and name in self.outcomes]

    async def _on_a_database(self) -> None:
        folder = self._place("database")
        async with durable_postgres(folder) as dsn:
            if self._wanted & {"P1", "P2"}:
                self._progress.begin("P1")
                self._print("P1", await acceptance.measure(dsn, folder, self._size))
            if "P10" in self._wanted:
                self._progress.begin("P10")
                self._print("P10", await orders.measure(dsn, self._place("socket"), self._size))
            if "P6" in self._wanted:
                self._progress.begin("P6")
                self._print("P6", await projection.measure(dsn, self._size))
            if "P5" in self._wanted:
                async with kafka(folder) as bootstrap:
                    self._progress.begin("P5")
                    self._print("P5", await engine.measure(dsn, bootstrap, folder, self._size))

    async def _on_the_whole_tree(self) -> None:
        async with whole_exchange(self._folder) as exchange:
            if "P3" in self._wanted:
                self._progress.begin("P3")
                self._print("P3", await latency.measure(exchange, self._size))
            if "P9" in self._wanted:
                self._progress.begin("P9")
                self._print("P9", await fills.measure(exchange, self._size))
            if "P2" in self._wanted:
                self._progress.begin("P2")
                self._print("P2", await completion.measure(exchange, self._size, self._acceptance_per_s()))

    def _acceptance_per_s(self) -> float:
        return self.outcomes["P1"].rows[0].ours.median

    def _print(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome
        self._progress.clear()
        print_outcome(outcome)

    def _place(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder


def print_outcome(outcome: Outcome) -> None:
    """Say on the screen what has just been measured."""
    for row in outcome.rows:
        judged = row.ratio or row.ours
        print(f"{row.measure:<9} {row.what:<52} {judged.median:12.3f}  {row.bar}", file=sys.stderr, flush=True)


async def bench(size: Size, wanted: set[str]) -> None:
    """`make bench`."""
    began, machine = time.monotonic(), describe()
    with tempfile.TemporaryDirectory(prefix="perpetua-bench-") as folder:
        outcomes = await Bench(Path(folder), size, wanted).run()
    run = run_of(size.name, _today(), time.monotonic() - began, machine, outcomes)
    is_complete = size.name == "full" and wanted == set(MEASURES)
    write_run(run, folder_for(is_complete=is_complete))
    print(markdown(run))


async def soaked(size: Size) -> None:
    """`make soak`: P8 and S1 to S4."""
    began, machine = time.monotonic(), describe()
    progress, outcomes = Progress(4), []

    def say(outcome: Outcome) -> None:
        outcomes.append(outcome)
        progress.clear()
        print_outcome(outcome)

    async with _folder("markets", "killed") as folder:
        async with whole_exchange(folder) as exchange:
            progress.begin("P8")
            flat_over_time, samples = await soak.measure(exchange, size)
            say(flat_over_time)
        async with durable_postgres(folder) as dsn:
            progress.begin("accounts")
            say(Outcome([await flat.measure(dsn, folder, size)]))
        async with whole_exchange(folder / "markets") as exchange:
            progress.begin("markets")
            say(await markets.measure(exchange, size))
        async with whole_exchange(folder / "killed") as exchange:
            progress.begin("kills")
            say(await take_over.measure(exchange, size))
    extra: dict[str, Any] = {"samples": msgspec.to_builtins(samples)}
    run = run_of(size.name, _today(), time.monotonic() - began, machine, outcomes, **extra)
    write_run(run, folder_for(is_complete=size.name == "full"), name="soak")
    print(markdown(run))


@asynccontextmanager
async def _folder(*names: str) -> AsyncIterator[Path]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perpetua-soak-")))
        for name in names:
            (folder / name).mkdir()
        yield folder


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _wanted() -> set[str]:
    named = {name.strip() for name in os.environ.get("BENCH_ONLY", "").split(",") if name.strip()}
    if unknown := named - set(MEASURES):
        raise SystemExit(f"BENCH_ONLY: {', '.join(sorted(unknown))} unknown; there are {', '.join(REPORTED)}")
    return named or set(MEASURES)


def main() -> None:
    """Parse the arguments and run the measures."""
    name = os.environ.get("BENCH") or "full"
    if name not in SIZES:
        raise SystemExit(f"BENCH is one of {', '.join(SIZES)}")
    work: Callable[[], Any] = (
        (lambda: soaked(SIZES[name])) if "soak" in sys.argv[1:] else lambda: bench(SIZES[name], _wanted())
    )
    asyncio.run(work())


if __name__ == "__main__":
    main()
