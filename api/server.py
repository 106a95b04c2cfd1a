"""The REST API as an aiohttp application, and a server that starts and stops it gracefully."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from api.access.auth import guarded
from api.access.cross_origin import preflight_middleware
from api.access_log import ACCESS
from api.errors import error_middleware
from api.fast_path.protocol import JsonRunner
from api.live.session.sessions import SESSIONS, Sessions
from api.read_your_writes import PERSISTED_COMMANDS, PersistedCommands
from api.responses import add_common_headers
from api.routes import ALL_ROUTES
from api.routes.docs import DOCUMENT, encoded_document
from api.routes.reports.export_files import EXPORTS, Exports
from api.services import SERVICES, Services
from api.watch.open_files import watch_open_files
from schemas.addresses import CannotListen

_HEADER_BYTES_MAX = 64 * 1024
"""Enough for a forged token of any size worth refusing with 401; longer ones are refused by the parser."""

_NO_ORDER_IDS = sorted(
    {route.path.split("/")[2] for route in ALL_ROUTES if route.path.startswith("/orders/")} - {"{orderId}"}
)

_DOCUMENT = encoded_document(ALL_ROUTES)

_LOOK_EVERY_S = 0.05


def create_app(services: Services) -> web.Application:
    """The application: every route with its guard, one error middleware, and the background tasks of the process."""
    app = web.Application(
        middlewares=[error_middleware, *([preflight_middleware] if services.settings.cors_origins else [])],
        client_max_size=services.settings.body_bytes_max,
    )
    app[SERVICES] = services
    app[ACCESS] = services.access
    app[PERSISTED_COMMANDS] = PersistedCommands(services.database, services.settings.wait_timeout_s)
    app[SESSIONS] = Sessions(services)
    app[EXPORTS] = Exports()
    app[DOCUMENT] = _DOCUMENT
    if services.live is not None:
        services.submissions.on_stored = services.live.accounts.stored
    for route in ALL_ROUTES:
        handler = guarded(route)
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):  # aiohttp drops the body of a HEAD
            app.router.add_route(method, _pattern_of(route.path), handler, expect_handler=_continue)
    app.on_response_prepare.append(add_common_headers)
    app.cleanup_ctx.append(_workers)
    return app


class ApiServer:
    """Serves the application on a port; an empty host means every address of the machine, of both families."""

    def __init__(self, services: Services, host: str, port: int) -> None:
        self._services = services
        self._host = host
        self._port = port
        self._listener: asyncio.Server | None = None
        settings = services.settings
        self.app = create_app(services)
        self._runner = JsonRunner(
            self.app,
            access_log=None,
            keepalive_timeout=settings.keepalive_timeout_s,
            shutdown_timeout=settings.stop_timeout_s,
            lingering_time=1.0,
            auto_decompress=False,  # an encoded body is refused, never unpacked
            max_field_size=_HEADER_BYTES_MAX,
        )

    @property
    def port(self) -> int:
        """The port it listens on, also when 0 was requested."""
        return self._port

    async def start(self) -> None:
        """Start the background tasks and listen."""
        await self._runner.setup()
        server, loop = self._runner.server, asyncio.get_running_loop()
        assert server is not None  # noqa: S101 - set up above
        try:
            self._listener = await loop.create_server(server, self._host or None, self._port, backlog=1_024)
        except OSError as error:
            raise CannotListen(self._host, self._port, error) from error
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop gracefully.

        1. /readyz says so, and every answer closes its connection.
        2. No new connections; those that wait to be accepted are served.
        3. Every socket is told goodbye, and the orders of those that want it are cancelled.
        4. Each connection closes with its next answer; one that stays idle for longer than the grace period is closed.
        5. The queue is submitted.
        """
        settings = self._services.settings
        self._services.lifecycle.is_stopping = True  # 1
        await asyncio.sleep(settings.readiness_grace_s)
        await self._close_listener()  # 2
        await self.app[SESSIONS].close()  # 3
        await self._until_connections_end(settings.idle_grace_s)  # 4
        await self._runner.cleanup()  # 4 and 5

    async def _close_listener(self) -> None:
        """Close it, and serve the connections that wait in its queue: their clients may have sent a request already.

        asyncio would drop, without closing it, a connection that it has accepted but not set up when its server closes.
        """
        server, loop = self._runner.server, asyncio.get_running_loop()
        if self._listener is None or server is None:
            return
        copies = [socket.socket(fileno=os.dup(each.fileno())) for each in self._listener.sockets]
        for each in self._listener.sockets:
            loop.remove_reader(each.fileno())  # asyncio accepts no more; uvloop may, until it closes
        await asyncio.sleep(0)
        waiting = [connection for each in copies for connection in _accept_waiting(each)]
        self._listener.close()
        for each in copies:
            each.close()
        for connection in waiting:
            await loop.connect_accepted_socket(server, connection)

    async def _until_connections_end(self, within_s: float) -> None:
        """Wait for at least one poll: a connection that was just accepted is not known before."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            server = self._runner.server
            if server is None or not server.connections or asyncio.get_running_loop().time() >= deadline:
                return


def _accept_waiting(listening: socket.socket) -> list[socket.socket]:
    """Accept every connection that waits in the queue now."""
    listening.setblocking(False)
    accepted: list[socket.socket] = []
    with suppress(BlockingIOError, ConnectionAbortedError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            accepted.append(connection)
    return accepted


def _pattern_of(path: str) -> str:
    """The path as a pattern in which an order id never matches the fixed word of another path (such as `batch`).

    The name of a file of the pages may contain slashes.
    """
    if path.startswith("/web/"):
        return path.replace("{file}", "{file:[^{}]+}")
    return path.replace("{orderId}", f"{{orderId:(?!(?:{'|'.join(_NO_ORDER_IDS)})(?:/|$))[^{{}}/]+}}")


async def _workers(app: web.Application) -> AsyncIterator[None]:
    services = app[SERVICES]
    services.access.start()
    await services.load.start()
    await services.logins.start()
    services.submissions.start()
    watching = asyncio.create_task(watch_open_files(), name="open files")
    yield
    watching.cancel()
    if services.live is not None:
        await services.live.close()
    await services.submissions.stop()
    await services.load.stop()
    await services.logins.stop()
    services.passwords.close()
    services.previews.close()
    services.database.close()
    await services.access.stop()


async def _continue(request: web.Request) -> None:
    """Answer `Expect: 100-continue`; other expectations are ignored, as RFC 9110 allows."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
