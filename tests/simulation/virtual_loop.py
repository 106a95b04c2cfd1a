"""An event loop on virtual time, in which processes can be killed and frozen between any two steps of their tasks."""

import asyncio
import contextvars
import heapq
from enum import Enum
from typing import Any

STARTED_AT_S = 1_000.0


class Life(Enum):
    """What the operating system does with a process."""

    RUNS = "runs"
    FROZEN = "frozen"
    DEAD = "dead"


class Process:
    """One life of a worker: everything that its tasks start belongs to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.role = name.partition("-")[0]
        self.life = Life.RUNS
        self.recovering = 0
        self.parked: list[asyncio.Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(CURRENT.set, self)

    @property
    def is_gone(self) -> bool:
        """Whether it is dead."""
        return self.life is Life.DEAD

    @property
    def is_recovering(self) -> bool:
        """Whether it recovers one of its markets."""
        return self.recovering > 0


CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar("CURRENT", default=None)


class ProcessEnded(BaseException):
    """The process has ended itself: nothing after this line runs."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready; when nothing is, time jumps to the next timer. A dead process runs no more at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = STARTED_AT_S
        self.steps = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._dropped: list[Any] = []
        self._frozen: list[Process] = []
        self._is_over = False
        self._timers: list[tuple[float, int, Any]] = []
        self._timers_set = 0
        self.set_exception_handler(lambda _loop, _context: None)  # tasks of dead processes are never awaited

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._now_s

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """As asyncio, for a heap of plain tuples: timers of one moment come in the order they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_set += 1
        heapq.heappush(self._timers, (when, self._timers_set, timer))
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """As asyncio."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """As asyncio, without its checks."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Start a task, and hold on to it: one that is collected would run its `finally` at a random time."""
        task = super().create_task(coro, **options)
        self._tasks.append(task)
        return task

    def end_all(self) -> None:
        """Cancel every task there is, those of the dead too."""
        self._is_over = True
        self._timers.clear()
        self._ready.extend(handle for process in self._frozen for handle in process.parked)
        self._ready.extend(self._dropped)
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()
            self.run_until_complete(asyncio.wait(pending, timeout=1.0))

    def drop(self, process: Process) -> None:
        """What a frozen process would have done, it will not do any more."""
        self._dropped.extend(process.parked)
        process.parked.clear()

    def thaw(self, process: Process) -> None:
        """Let a frozen process continue with all that has become due since."""
        process.life = Life.RUNS
        self._ready.extend(process.parked)
        process.parked.clear()
        self._frozen = [other for other in self._frozen if other is not process]

    def _run_once(self) -> None:
        if not self._ready:
            self._jump()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                self._run_in_its_process(handle)

    def _run_in_its_process(self, handle: Any) -> None:
        process = handle._context.get(CURRENT)
        if process is None or process.life is Life.RUNS or self._is_over:
            self.steps += 1
            handle._run()
        elif process.life is Life.FROZEN:
            if not process.parked:
                self._frozen.append(process)
            process.parked.append(handle)
        else:
            self._dropped.append(handle)

    def _jump(self) -> None:
        while self._timers:
            at_s, _, handle = heapq.heappop(self._timers)
            if not handle._cancelled:
                self._now_s = max(self._now_s, at_s)
                self._ready.append(handle)
                return
        raise RuntimeError("nothing will ever happen again")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _write_to_self(self) -> None:
        """There is nobody outside to be woken by."""
