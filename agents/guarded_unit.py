"""A unit that rests while a topic of its market is at fault, and goes on once the topic is mended."""

import asyncio
import logging
from collections.abc import Callable

from structlog.contextvars import bind_contextvars

from agents.worker.host import Unit
from agents.worker.settings import StreamSettings
from agents.worker.topic_watch import TopicWatch

log = logging.getLogger(__name__)


class GuardedUnit:
    """The work on one market, built again after each rest. Its process and the other markets go on meanwhile."""

    def __init__(
        self, market: str, settings: StreamSettings, watch: TopicWatch, build: Callable[[str, StreamSettings], Unit]
    ) -> None:
        self.name = f"{watch.work}-{market}"
        self._market = market
        self._settings = settings
        self._watch = watch
        self._build = build
        self._unit: Unit | None = None
        self._is_up = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start; returns when the unit is up, which may be after a rest."""
        self._serving = asyncio.create_task(self._serve(), name=self.name)
        up = asyncio.create_task(self._is_up.wait())
        await asyncio.wait({self._serving, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()

    async def wait(self) -> None:
        """Return or raise when the unit has ended without being stopped."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """Stop the unit, unless it rests."""
        if self._unit is not None:
            await self._unit.stop()
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
        self._watch.remove(self._market)

    async def _serve(self) -> None:
        bind_contextvars(market=self._market)  # for every line that the tasks of this unit log
        await self._watch.add(self._market)
        while True:
            await self._watch.until_sound(self._market)
            self._unit = unit = self._build(self._market, self._settings)
            working = asyncio.create_task(self._run(unit))
            faulty = asyncio.create_task(self._watch.until_faulty(self._market))
            try:
                await asyncio.wait({faulty, working}, return_when=asyncio.FIRST_COMPLETED)
                if not faulty.done() and not await self._watch.is_faulty(self._market):
                    return await working
            finally:
                faulty.cancel()
                working.cancel()
            log.error("%s rests: a topic is at fault", self.name, extra={"market": self._market})
            await unit.stop()
            self._unit = None

    async def _run(self, unit: Unit) -> None:
        await unit.start()
        self._is_up.set()
        await unit.wait()
