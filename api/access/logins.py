"""Which logins have ended: in memory, so that no request with a token has to ask the database.

A session of this process listens for logins that any process ends, and proves every second that it still does. Where it does not, as
after the loss of the database, every token is looked up until all that have ended meanwhile are read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from api.database import Database
from api.watch.outage_log import note_outage
from schemas.units import Timestamp
from store.session.connect import Connection, StoreUnavailable, is_outage
from store.users.logins import ENDED_CHANNEL, expiry_at, is_ended, read_ended

PROVED_EVERY_S = 1.0
FORGOTTEN_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Logins:
    """The ended logins whose tokens have not expired yet."""

    def __init__(
        self, database: Database, connect: Callable[[], Awaitable[Connection]], now: Callable[[], Timestamp]
    ) -> None:
        self._database, self._connect, self._now = database, connect, now
        self._ended: dict[int, int] = {}
        self._is_current = False
        self._was_tried = asyncio.Event()
        self._on_end: list[Callable[[int], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._forget_at_s = 0

    def on_end(self, hear: Callable[[int], None]) -> None:
        """Call this with every login that ends from now on."""
        self._on_end.append(hear)

    async def start(self) -> None:
        """Read and listen, so that the ended logins are known before the first request, then continue in the background."""
        self._task = asyncio.create_task(self._listen_forever(), name="ended logins")
        await self._was_tried.wait()

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def has_ended(self, login: int) -> bool:
        """Whether the login is known to have ended."""
        return login in self._ended

    def is_known_alive(self, login: int) -> bool:
        """Whether the login has not ended, if that is known without a query."""
        return self._is_current and login not in self._ended

    async def is_alive(self, login: int) -> bool:
        """Whether the login has not ended. Raises StoreUnavailable."""
        if self._is_current or login in self._ended:
            return login not in self._ended
        return not await self._database.run(lambda session: is_ended(session, login, self._now()))

    def end(self, logins: Iterable[int], at: Timestamp) -> None:
        """These logins have just ended here, at that time; none of their tokens outlives one issued then."""
        self._apply(dict.fromkeys(logins, expiry_at(at) // 1_000_000))

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # the top of a worker: whatever ends the session, another one is opened
                if is_outage(error):
                    _note(error)
                else:
                    log.exception("listening for ended logins failed; it continues")
            finally:
                self._is_current = False
                self._was_tried.set()
            await asyncio.sleep(PROVED_EVERY_S)

    async def _listen(self) -> None:
        """1 listen, 2 read what ended before, 3 prove that the session lives: what it hears arrives before the answer."""
        session = await self._connect()
        session.add_termination_listener(self._lose)
        try:
            await session.add_listener(ENDED_CHANNEL, self._hear)  # 1
            self._apply(await read_ended(session, self._now()))  # 2
            self._is_current = True
            self._was_tried.set()
            while True:
                await asyncio.sleep(PROVED_EVERY_S)
                await session.execute("SELECT 1")  # 3
                self._forget_expired()
        finally:
            self._is_current = False
            session.remove_termination_listener(self._lose)
            session.terminate()

    def _lose(self, _session: object) -> None:
        self._is_current = False

    def _hear(self, _session: object, _pid: int, _channel: str, payload: object) -> None:
        login, expires_at_s = str(payload).split(" ")
        self._apply({int(login): int(expires_at_s)})

    def _apply(self, ended: dict[int, int]) -> None:
        fresh = ended.keys() - self._ended.keys()
        self._ended |= ended
        for login in fresh:
            for hear in self._on_end:
                hear(login)

    def _forget_expired(self) -> None:
        now_s = self._now() // 1_000_000
        if now_s >= self._forget_at_s:
            self._forget_at_s = now_s + int(FORGOTTEN_EVERY_S)
            self._ended = {login: at_s for login, at_s in self._ended.items() if at_s > now_s}


def _note(error: Exception) -> None:
    outage = StoreUnavailable(outcome_is_unknown=False)
    outage.__cause__ = error
    note_outage(outage)
