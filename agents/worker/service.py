"""A service: one task that works over its own session and restarts after any outage."""

import asyncio
import logging

from aiokafka.errors import KafkaError

from agents.worker.database import DATABASE_ERRORS, away, close_quietly
from agents.worker.retry import Backoff
from broker.producer import can_be_retried
from store.session.connect import Connection, connect_writer

HEALTHY_AFTER_S = 2.0

log = logging.getLogger(__name__)


class Service:
    """Calls `serve` with a new session, and again after each outage of PostgreSQL or the broker."""

    def __init__(self, name: str, dsn: str) -> None:
        self._name = name
        self._dsn = dsn
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Its name in the log and in PostgreSQL's list of sessions."""
        return self._name

    async def serve(self, session: Connection) -> None:
        """Work until cancelled; an outage may be raised."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start to serve."""
        self._task = asyncio.create_task(self._serve_through_outages(), name=self._name)

    async def wait(self) -> None:
        """Return or raise when it has ended without being stopped."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Cancel it: the work in progress can be repeated."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _serve_through_outages(self) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            try:
                await self._serve_once()
            except (*DATABASE_ERRORS, KafkaError) as error:
                if not is_unavailable(error):
                    raise
                log.warning("%s waits: %r", self._name, error)
            if loop.time() - started_s > HEALTHY_AFTER_S:
                backoff.reset()
            await backoff.wait()

    async def _serve_once(self) -> None:
        session = await connect_writer(self._dsn, self._name)
        try:
            await self.serve(session)
        finally:
            await close_quietly(session)


def is_unavailable(error: BaseException) -> bool:
    """Whether PostgreSQL or the broker is unavailable; any other error is a bug of ours."""
    return away(error) or (isinstance(error, KafkaError) and can_be_retried(error))
