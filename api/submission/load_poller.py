"""Polls the backlog of each market (accepted but not yet projected) four times a second, for admission to refuse by.

Once a second is enough while nothing waits and no mark ages: far fewer commands than the limit fit into one. The
same poll finds newly listed markets, so that they can be traded without a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from api.database import Database
from api.watch.outage_log import note_outage
from schemas.units import Timestamp
from store.markets.backlog import MarketLoad, read_load
from store.markets.registry import MarketRegistry
from store.session.connect import Session, StoreUnavailable

EVERY_S = 0.25
IDLE_EVERY_S = 1.0

log = logging.getLogger(__name__)


class LoadPoller:
    """Keeps the latest load. While the database is down the last one stays: nothing is accepted then anyway."""

    def __init__(
        self, database: Database, registry: MarketRegistry, now: Callable[[], Timestamp], every_s: float = EVERY_S
    ) -> None:
        self._database = database
        self._registry = registry
        self._now = now
        self._every_s = every_s
        self._current: Mapping[str, MarketLoad] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> Mapping[str, MarketLoad]:
        """Load by market name, as of the last successful poll."""
        return self._current

    async def start(self) -> None:
        """Poll once, so that the load is known before the first order, then continue in the background."""
        await self.poll()
        self._task = asyncio.create_task(self._poll_forever(), name="load poller")

    async def stop(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def poll(self) -> None:
        """Query the database once; an outage leaves the last load in place."""
        try:
            self._current = await self._database.run(self._read)
        except StoreUnavailable as outage:
            note_outage(outage)

    def _is_busy(self) -> bool:
        return any(load.backlog or load.mark_age_s for load in self._current.values())

    async def _read(self, session: Session) -> Mapping[str, MarketLoad]:
        load = await read_load(session, self._now())
        if not load.keys() <= self._registry.by_name.keys():
            await self._registry.refresh(session)
        return load

    async def _poll_forever(self) -> None:
        while True:
            await asyncio.sleep(self._every_s if self._is_busy() else max(self._every_s, IDLE_EVERY_S))
            try:
                await self.poll()
            except Exception:  # the top of a worker: a poll that fails must not end the polling
                log.exception("the load poller failed; it continues")
