"""The job and the report of the load generator; it is a separate process, so both travel as JSON."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop

J = TypeVar("J", bound=msgspec.Struct)

ROOT = Path(__file__).parents[2]


class Kind(StrEnum):
    """CLOSED: the next request when the last is answered. OPEN: at times fixed in advance, independent of the answers."""

    CLOSED = "closed"
    OPEN = "open"


class Seen(StrEnum):
    """When an operation counts as done: at the answer to the order, or when its fill is in GET /fills.

    FILL asks again and again, the later the less often; FILL_POLLED every 3 ms; FILL_AFTER_WAIT lets the API hold the answer
    back (X-Wait-For-Command).
    """

    ANSWER = "answer"
    FILL = "fill"
    FILL_POLLED = "fill-polled"
    FILL_AFTER_WAIT = "fill-after-wait"


class Amend(msgspec.Struct, frozen=True, array_like=True):
    """The amend of an order by the user of a token, which is one of the job's."""

    order: str
    token: int
    body: bytes


class Job(msgspec.Struct, frozen=True):
    """A load. `orders`: bodies that are sent in turn; `tokens`: who sends them, in turn.

    `rate` (per second) belongs to OPEN. `count`, when given, ends it early. `cancel_every`: every n-th request of a
    connection cancels the last order accepted on it. `keeps_orders`: whether the ids of accepted orders are reported.
    `amends`, when given, are sent in place of orders, each once; CLOSED ends with the last of them.
    """

    host: str
    port: int
    kind: Kind
    seconds: float
    connections: int
    tokens: list[str]
    orders: list[bytes]
    rate: float = 0.0
    count: int = 0
    seen: Seen = Seen.ANSWER
    cancel_every: int = 0
    keeps_orders: bool = False
    amends: list[Amend] = []


class Report(msgspec.Struct):
    """The result. `latencies_ms` by request and answer, for example `order 202`;
    `codes` by request and refusal.

    `per_second` counts the orders answered 202 in each second since the start; `late_ms` is how much later than
    intended requests left though a connection was free.
    """

    seconds: float = 0.0
    statuses: dict[str, int] = {}
    codes: dict[str, int] = {}
    latencies_ms: dict[str, list[float]] = {}
    per_second: list[int] = []
    late_ms: list[float] = []
    orders: list[str] = []
    cut: int = 0

    @property
    def accepted(self) -> int:
        """Orders answered 202."""
        return self.statuses.get("order 202", 0)

    @property
    def amended(self) -> int:
        """Amends answered 202."""
        return self.statuses.get("amend 202", 0)


class LoadFailed(Exception):
    """The load generator ended with an error; its output."""

    def __init__(self, printed: str) -> None:
        super().__init__(printed)
        self.printed = printed


async def run_load(job: Job) -> Report:
    """Run it in a separate process."""
    return await run_in_process("bench.load.process", job)


async def run_in_process(module: str, job: msgspec.Struct) -> Report:
    """Let a load generator do a job."""
    with tempfile.TemporaryDirectory(prefix="perpetua-load-") as folder:
        target = Path(folder) / "report.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, str(target)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await process.communicate(msgspec.json.encode(job))
        if process.returncode != 0 or not target.exists():
            raise LoadFailed(complaint.decode())
        printed = target.read_bytes()
    return msgspec.json.decode(printed, type=Report)


def do_job(job_type: type[J], work: Callable[[J], Coroutine[Any, Any, Report]]) -> None:
    """In that process: do the job on stdin; the report is in the file when it is there, and whole."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=job_type)
    report = uvloop.run(work(job))
    target = Path(sys.argv[1])
    fresh = target.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(report))
    fresh.replace(target)
