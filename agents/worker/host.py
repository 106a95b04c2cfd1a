"""Hosting apps and services in one event loop until the process is stopped; one that ends before ends the process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import faust
from faust.contrib.asgi import bind_to_running_loop
from structlog.contextvars import bind_contextvars

from agents.worker.fail_stop import EXIT_CRASHED, EXIT_WRONG, end_at_once, fail_fast, on_stop_signal, stop_loudly
from agents.worker.stall_watchdog import StallWatchdog

STOP_TIMEOUT_S = 9.0
GOODBYE_TIMEOUT_S = 3.0

log = logging.getLogger(__name__)


class Unit(Protocol):
    """Something that works until it is stopped."""

    @property
    def name(self) -> str:
        """Its name in the log."""

    async def start(self) -> None:
        """Start; may take until this unit becomes the owner of a market."""

    async def wait(self) -> None:
        """Return or raise when it has ended without being stopped."""

    async def stop(self) -> None:
        """Finish the current work and end."""


class FaustUnit:
    """A Faust app hosted with others in one event loop, without Faust's worker and signal handlers; `watch` watches it."""

    def __init__(
        self,
        app: faust.App,
        watch: StallWatchdog,
        *,
        before_stop: Callable[[], Awaitable[None]] | None = None,
        after_stop: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._app = app
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None
        self._before_stop = before_stop
        self._after_stop = after_stop
        self.is_cut = False

    @property
    def name(self) -> str:
        """The app's id."""
        return str(self._app.conf.id)

    async def start(self) -> None:
        """Start the app; it is up when its tables are recovered."""
        bind_to_running_loop(self._app)
        self._app.finalize()
        self._watching = asyncio.create_task(fail_fast(self._watch.watch(), self.name))
        await self._app.maybe_start()

    async def wait(self) -> None:
        """Return when the app has crashed: a crash does not reach the event loop otherwise."""
        await self._app.wait_until_stopped()

    async def stop(self) -> None:
        """Let the agent finish its record, then commit and leave the group.

        An app that is being assigned its partitions never stops (observed). All state is saved by then: the app only
        does not leave its group, which hands the market over when the session times out.
        """
        if self._before_stop is not None:
            self._stop_watching()
            await self._before_stop()
        await self.abandon()

    async def abandon(self) -> None:
        """Stop at once, in the middle of a record that may never be written: another assignment takes it again."""
        self._stop_watching()
        try:
            await asyncio.wait_for(self._app.stop(), GOODBYE_TIMEOUT_S)
        except TimeoutError:
            log.warning("%s stops without leaving its group", self.name)
            self.is_cut = True
        if self._after_stop is not None:
            await self._after_stop()

    def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()


class Host:
    """Runs units concurrently. Set `stopping` to stop them cleanly."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._units: dict[str, tuple[Unit, asyncio.Task[None]]] = {}

    @property
    def names(self) -> set[str]:
        """The names of the hosted units."""
        return set(self._units)

    def add(self, unit: Unit) -> None:
        """Start a unit now, and watch it."""
        self._units[unit.name] = (unit, asyncio.create_task(self._watch(unit), name=unit.name))

    async def run(self, units: Iterable[Unit] = ()) -> None:
        """Host these units, and those added later, until a signal stops it; then stop them within 9 s."""
        on_stop_signal(self.stopping.set)
        for unit in units:
            self.add(unit)
        await self.stopping.wait()
        await self._stop_all()
        if any(getattr(unit, "is_cut", False) for unit, _ in self._units.values()):
            end_at_once()  # the consumer thread of that app would keep the process forever

    async def _watch(self, unit: Unit) -> None:
        _, _, market = unit.name.partition("-")
        if market:
            bind_contextvars(market=market)  # for every line that the tasks of this unit log
        try:
            await unit.start()
            log.info("%s is up", unit.name)
            await unit.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the top of a worker
            stop_loudly(unit.name, error)
        if not self.stopping.is_set():
            stop_loudly(unit.name, None, EXIT_CRASHED)

    async def _stop_all(self) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.gather(*(self._stop(unit, watch) for unit, watch in self._units.values()))
        except TimeoutError as error:
            stop_loudly("the host did not stop in time and", error, EXIT_WRONG)

    async def _stop(self, unit: Unit, watch: asyncio.Task[None]) -> None:
        await unit.stop()
        watch.cancel()
        await asyncio.wait([watch])
        log.info("%s has stopped", unit.name)
