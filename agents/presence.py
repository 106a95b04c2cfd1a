"""Presence: a worker process shows that it runs, so that no rebuild begins beside it, nor it beside a rebuild."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.service import Service
from agents.settings import StreamSettings
from store.advisory_locks import Room, share_lock
from store.connect import Connection

LOOK_EVERY_S = 0.5


class Presence(Service):
    """Holds the workers' lock, together with the other workers, as long as the process lives; a lost session is replaced."""

    def __init__(self, kind: str, settings: StreamSettings) -> None:
        super().__init__(f"presence-{kind}", settings.dsn)
        self.is_shown = asyncio.Event()

    async def serve(self, session: Connection) -> None:
        """Take the lock, and ask for it again now and then: that is harmless, and tells whether the session still lives."""
        while True:
            if await share_lock(session, Room.WORKERS):
                self.is_shown.set()
            await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def present(kind: str, settings: StreamSettings) -> AsyncIterator[None]:
    """Work while others can see it; waits for the end of a rebuild."""
    presence = Presence(kind, settings)
    await presence.start()
    try:
        await presence.is_shown.wait()
        yield
    finally:
        await presence.stop()
