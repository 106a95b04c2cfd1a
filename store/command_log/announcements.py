"""Announced commands: a session hears of those that other sessions append, for as long as it has nothing else to do."""

import asyncio
from contextlib import suppress

from store.command_log.commands import CHANNEL
from store.session.connect import Connection


class Announcements:
    """Waits for commands of other sessions.

    A session with work looks again anyway and need not listen: a busy exchange announces hundreds of commands a second, and each
    announcement wakes PostgreSQL's process and ours.
    """

    def __init__(self, session: Connection) -> None:
        self._session = session
        self._own = session.get_server_pid()
        self._heard = asyncio.Event()
        self._is_listening = False

    async def listen(self) -> bool:
        """Hear of commands from now on; returns whether that is new, so that only another look finds those of before."""
        if self._is_listening:
            return False
        self._heard.clear()
        await self._session.add_listener(CHANNEL, self._hear)
        self._is_listening = True
        return True

    async def ignore(self) -> None:
        """Hear of no more commands."""
        if self._is_listening:
            self._is_listening = False
            await self._session.remove_listener(CHANNEL, self._hear)

    async def wait(self, within_s: float) -> bool:
        """Wait for the next command while listening, no longer than this; returns whether there is one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._heard.wait()
        is_heard = self._heard.is_set()
        self._heard.clear()
        return is_heard

    def _hear(self, _session: object, pid: int, _channel: str, _market: object) -> None:
        if pid != self._own:
            self._heard.set()
