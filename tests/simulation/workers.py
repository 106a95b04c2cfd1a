"""The real workers of a market, which report to the system when they are made, begin and end."""

from collections.abc import Callable
from typing import Any

from agents.matching.app import MarketEngine
from agents.projection.app import MarketProjection
from agents.projection.persister import Persister
from agents.worker.settings import StreamSettings
from tests.simulation.virtual_loop import Process
from tests.simulation.world import current_process

Worker = MarketEngine | MarketProjection


class Workers:
    """The workers of all processes, by process and market. `on_begin` sees from where one reads its log."""

    def __init__(self) -> None:
        self.engines: dict[tuple[Process, str], MarketEngine] = {}
        self.on_begin: Callable[[Worker, str, int], None] = lambda *_: None

    def forget(self, process: Process) -> None:
        """A process is dead."""
        self.engines = {key: engine for key, engine in self.engines.items() if key[0] is not process}

    def engine(self, app: Any, market: str, settings: StreamSettings) -> MarketEngine:
        """An engine of the process that asks."""
        return _Engine(self, app, market, settings)

    def projections(self, settings: StreamSettings) -> Callable[[Any, str, StreamSettings], MarketProjection]:
        """What makes the projections of a process, which share a persister."""
        persister = Persister(settings)
        return lambda app, market, named: _Projection(self, app, market, named, persister)


class _Engine(MarketEngine):
    def __init__(self, workers: Workers, app: Any, market: str, settings: StreamSettings) -> None:
        super().__init__(app, market, settings)
        self._workers = workers
        self._process = current_process()
        workers.engines[self._process, market] = self

    async def begin(self) -> int | None:
        """Begin, as a process that recovers."""
        self._process.recovering += 1
        try:
            offset = await super().begin()
        finally:
            self._process.recovering -= 1
        if offset is not None:
            self._workers.on_begin(self, self._market, offset)
        return offset


class _Projection(MarketProjection):
    def __init__(self, workers: Workers, app: Any, market: str, settings: StreamSettings, persister: Persister) -> None:
        super().__init__(app, market, settings, persister)
        self._workers = workers

    async def begin(self) -> int | None:
        """Begin."""
        offset = await super().begin()
        if offset is not None:
            self._workers.on_begin(self, self._market, offset)
        return offset
