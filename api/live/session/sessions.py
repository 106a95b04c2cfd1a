"""All connections of this process: how many there may be, and what becomes of them when it stops."""

import asyncio
from collections import Counter
from typing import TypeVar

from aiohttp import web

from api.access.auth import address_name
from api.access.cross_origin import check_origin
from api.errors import Refusal
from api.live.metrics import LIVE_CONNECTIONS
from api.live.session.disconnecting import Disconnects
from api.live.session.session import LOGGED_OUT, LOGGED_OUT_CODE, STOPPING, Session
from api.live.session.write_turns import WriteTurns
from api.services import Services
from schemas.refusals import ErrorCode

OF_USER_MAX = 20
WATCHED_EVERY_S = 1.0
Key = TypeVar("Key", int, str)


class Sessions:
    """Counts connections: by user once they have named one, by address before."""

    def __init__(self, services: Services) -> None:
        self._services, self._settings = services, services.settings
        self._open: set[Session] = set()
        self._of_users: Counter[int] = Counter()
        self._strangers: Counter[str] = Counter()
        self._ended: asyncio.Future[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.disconnects = Disconnects(services.submissions)
        self.turns = WriteTurns()
        services.logins.on_end(self._close_ended)

    def admit(self, request: web.Request) -> None:
        """Refuse a handshake: from a foreign page, while the process stops, or where too many have not named their user."""
        check_origin(request)
        if self._services.lifecycle.is_stopping:
            raise Refusal(ErrorCode.UNAVAILABLE, "this process is stopping: connect again")
        if self._strangers[address_name(request)] >= self._settings.strangers_of_address_max:
            raise _too_many(self._settings.strangers_of_address_max, "connections without a user from this address")
        if self._strangers.total() >= self._settings.strangers_max:
            raise Refusal(ErrorCode.OVERLOADED, "too many connections have not named their user; try again shortly")

    async def serve(self, session: Session) -> None:
        """Serve a connection from its handshake to its end."""
        self._open.add(session)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="watch authorisations")
        self._strangers[session.address] += 1
        LIVE_CONNECTIONS.inc()
        try:
            await session.serve()
        finally:
            LIVE_CONNECTIONS.dec()
            self._leave(session)

    def assign(self, session: Session, user: int) -> None:
        """The connection is of this user; refuses with RATE_LIMITED where the user has too many."""
        if session.user is not None:
            return
        if self._of_users[user] >= OF_USER_MAX:
            raise _too_many(OF_USER_MAX, "connections of this user")
        self._of_users[user] += 1
        _subtract(self._strangers, session.address)
        session.user = user

    async def close(self) -> None:
        """Say goodbye to all; ends once they are closed and their orders are being cancelled."""
        while self._open:
            for session in self._open:
                session.close_soon(1012, STOPPING)
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended
        await self.disconnects.finish()
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        """Look whether tokens and keys are still valid in whose name something is sent."""
        while self._open:
            await asyncio.sleep(WATCHED_EVERY_S)
            for session in list(self._open):
                await session.check_authorisation()

    def _close_ended(self, login: int) -> None:
        """Close the connections that act by a token of this login."""
        for session in self._open:
            if session.login == login:
                session.end_authorisation()
                session.close_soon(LOGGED_OUT_CODE, LOGGED_OUT)

    def _leave(self, session: Session) -> None:
        self._open.discard(session)
        if session.user is None:
            _subtract(self._strangers, session.address)
        else:
            _subtract(self._of_users, session.user)
            if session.cancels_on_disconnect:
                self.disconnects.cancel(session.user, session.markets, session.orders)
        if self._ended is not None and not self._ended.done() and not self._open:
            self._ended.set_result(None)


SESSIONS = web.AppKey("SESSIONS", Sessions)


def _too_many(limit: int, of: str) -> Refusal:
    return Refusal(ErrorCode.RATE_LIMITED, f"too many {of}: close one", {"limit": "connections", "max": limit})


def _subtract(counts: Counter[Key], key: Key) -> None:
    """Keep no zeros: there are as many keys as clients."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
