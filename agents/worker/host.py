"""Hosting apps and services in one event loop until the process is stopped; one that ends before ends the process."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from agents.worker.fail_stop import EXIT_CRASHED, EXIT_WRONG, end_at_once, on_stop_signal, stop_loudly

STOP_TIMEOUT_S = 9.0

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


class Host:
    """Runs units concurrently. Set `stopping` to stop them cleanly."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._units: dict[str, tuple[Unit, asyncio.Task[None]]] = {}
        self._has_cut = False

    @property
    def names(self) -> set[str]:
        """The names of the hosted units."""
        return set(self._units)

    def add(self, unit: Unit) -> None:
        """Start a unit now, and watch it."""
        self._units[unit.name] = (unit, asyncio.create_task(self._watch(unit), name=unit.name))

    async def remove(self, name: str) -> None:
        """Stop a unit, and forget it."""
        unit, watch = self._units.pop(name)
        watch.cancel()  # first: a unit that ends without being removed ends the process
        await asyncio.wait([watch])
        await unit.stop()
        self._has_cut = self._has_cut or getattr(unit, "is_cut", False)
        log.info("%s has stopped", name)

    async def run(self, units: Iterable[Unit] = ()) -> None:
        """Host these units, and those added later, until a signal stops it; then stop them within 9 s."""
        on_stop_signal(self.stopping.set)
        for unit in units:
            self.add(unit)
        await self.stopping.wait()
        await self._stop_all()
        if self._has_cut or any(getattr(unit, "is_cut", False) for unit, _ in self._units.values()):
            end_at_once()  # the consumer thread of that app would keep the process forever

    async def _watch(self, unit: Unit) -> None:
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
