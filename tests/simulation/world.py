"""What all parts of a simulation share: the dice, the time, the trace, and who is alive."""

import contextvars
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from hashlib import blake2b
from typing import Any

from schemas.units import Timestamp
from tests.simulation.virtual_loop import CURRENT, Life, Process, VirtualLoop

BEGAN_AT = 1_800_000_000_000_000
CRASH_ONE_IN = 45
_CRASH_ONE_IN_RARE = {"rebuild": 3, "activator": 2}
"""Of processes that seldom come to a crash point."""
NAMED_POINTS = {
    ("api", "commit"): "after commit before reply",
    ("relay", "command record"): "after send before cursor",
    ("engine", "event record"): "after events before snapshot",
    ("engine", "chunk"): "between chunks and head",
    ("engine", "head"): "after snapshot before offset commit",
    ("projection", "commit"): "after projection before offset commit",
    ("engine", "recovery"): "during recovery",
    ("activator", "commit"): "after an activation, before knowing of it",
    ("rebuild", "chunk"): "during rebuild",
    ("rebuild", "epoch"): "during rebuild",
}
"""Crash points: a part dies when this has taken effect, before it learns of it."""


class Violation(Exception):
    """Something that must never happen has happened."""


class World:
    """One run. Everything that is drawn is drawn from one seeded source, and everything that happens is in the trace."""

    def __init__(self, seed: int, loop: VirtualLoop, *, is_verbose: bool = False) -> None:
        self.seed = seed
        self.dice = random.Random(seed)  # noqa: S311 - a seed must give the same run again
        self.loop = loop
        self.context = contextvars.Context()
        self.is_calm = False
        self.is_over = False
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        self.on_death: Callable[[Process], None] = lambda _: None
        self.lines: list[str] | None = [] if is_verbose else None
        self._trace = blake2b(digest_size=16)

    @property
    def trace_hash(self) -> str:
        """What distinguishes one course of events from another."""
        return self._trace.hexdigest()

    def now(self) -> Timestamp:
        """The time of day, as processes see it."""
        return Timestamp(BEGAN_AT + int(self.loop.time() * 1_000_000))

    def note(self, what: str) -> None:
        """Write a line of the trace."""
        line = f"{self.loop.time():.6f} {what}"
        self._trace.update(line.encode() + b"\n")
        if self.lines is not None:
            self.lines.append(line)

    def violated(self, what: str) -> None:
        """Record what must never happen; the run ends soon."""
        self.note(f"VIOLATION {what}")
        self.violations.append(what)

    def happens(self, one_in: int) -> bool:
        """Whether a fault happens; none does in the calm."""
        return not self.is_calm and self.dice.random() * one_in < 1.0

    def latency(self) -> float:
        """How long a message travels; some take long."""
        if self.happens(40):
            return self.dice.uniform(0.05, 0.4)
        return 0.0005 + 0.0035 * self.dice.random()

    def later(self, delay_s: float, call: Callable[..., object], *args: object) -> None:
        """Let something happen outside of all processes."""
        self.loop.call_later(delay_s, call, *args, context=self.context)

    def later_in(self, process: Process, delay_s: float, call: Callable[..., object], *args: object) -> None:
        """Let something happen in a process, if it lives by then."""
        self.loop.call_later(delay_s, call, *args, context=process.context)

    def spawn(self, process: Process | None, work: Coroutine[Any, Any, None]) -> None:
        """Start a task of a process, or of none."""
        self.loop.create_task(work, context=self.context if process is None else process.context)

    def reached(self, process: Process, point: str) -> bool:
        """Whether the process dies here: something has taken effect, and it does not know yet."""
        name = NAMED_POINTS.get((process.role, "recovery" if process.is_recovering else point))
        one_in = _CRASH_ONE_IN_RARE.get(process.role, CRASH_ONE_IN)
        if name is None or process.is_gone or not self.happens(one_in):
            return False
        self.crashes[name] += 1
        self.kill(process, name)
        return True

    def kill(self, process: Process, why: str) -> None:
        """End a process as kill -9 does."""
        if not process.is_gone:
            self.note(f"{process.name} dies: {why}")
            self.counts["deaths"] += 1
            process.life = Life.DEAD
            self.loop.drop(process)
            self.on_death(process)

    def freeze(self, process: Process, for_s: float) -> None:
        """SIGSTOP now, SIGCONT later."""
        self.note(f"{process.name} freezes")
        self.counts["freezes"] += 1
        process.life = Life.FROZEN
        self.later(for_s, self._thaw, process)

    def _thaw(self, process: Process) -> None:
        if process.life is Life.FROZEN:
            self.note(f"{process.name} thaws")
            self.loop.thaw(process)


def current_process() -> Process:
    """The process that the running code belongs to."""
    process = CURRENT.get()
    if process is None:
        raise RuntimeError("outside of every process")
    return process
