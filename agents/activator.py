"""The activator: lets triggered orders that may open a position enter the book, once their margin is reserved.

(docs/semantics.md, "Conditional orders".) It keeps nothing in memory: an order that waits for it is a row, and says so until it is
activated or cancelled. Killed anywhere, it continues from these rows.
"""

import asyncio
import logging
from contextlib import suppress

import asyncpg

from agents.worker.ownership import working
from agents.worker.service import Service
from agents.worker.settings import StreamSettings
from exchange.risk.activation import Activation
from store.activation import ACTIVATION_CHANNEL, activate, read_triggered
from store.markets.registry import MarketRegistry, load_registry
from store.session.advisory_locks import LockClass, wait_for_lock
from store.session.checked_clock import machine_time
from store.session.connect import Connection
from store.session.presence import Task, Work

LOOK_EVERY_S = 1.0
ORDERS_A_LOOK = 100
_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

log = logging.getLogger(__name__)


class Activator(Service):
    """One activator for all markets, by advisory lock; a second one waits."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__("activator", settings.dsn)
        self._heard = asyncio.Event()

    async def serve(self, session: Connection) -> None:
        """Look when the database announces a triggered order; where notifications are lost, once a second."""
        await wait_for_lock(session, LockClass.ACTIVATOR)
        registry = await load_registry(session)
        await session.add_listener(ACTIVATION_CHANNEL, self._hear)
        with working(Task(Work.ACTIVATOR)):
            while True:
                self._heard.clear()
                if not await self.look(session, registry):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._heard.wait(), LOOK_EVERY_S)

    async def look(self, session: Connection, registry: MarketRegistry) -> bool:
        """Activate or cancel the orders that wait for their margin; returns whether another look may find more.

        An order whose transaction PostgreSQL rolled back because of a conflict is found again.
        """
        found = await read_triggered(session, ORDERS_A_LOOK)
        for triggered in found:
            try:
                decided = await activate(session, registry, triggered, machine_time())
            except _CONFLICTS as error:
                log.warning("rolled back by a conflict, the next look repeats it: %r", error)
                continue
            if decided is not None and not isinstance(decided, Activation):
                log.info("a triggered order of account %s ends: %s", triggered.user_id, decided)
        return bool(found)

    def _hear(self, _session: object, _pid: int, _channel: str, _order: object) -> None:
        self._heard.set()
