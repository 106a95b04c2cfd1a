"""What HTTP itself gets wrong is answered in our words too: aiohttp's own answer to a broken request is plain text.

aiohttp has no public hook for it; these are the few lines of its runner that must be written anew, pinned by version.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web

from api.errors import answer_of_status, new_request_id
from api.security_headers import of_every_answer

log = logging.getLogger(__name__)


class JsonProtocol(web.RequestHandler):
    """A connection whose parser errors are answered with the contract's error body."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP as we read it, and close the connection."""
        if status >= 500:
            log.error("connection failed: %s", message, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        request_id = new_request_id()
        answer = answer_of_status(request_id, status)
        answer.headers.update({"X-Request-Id": request_id, **of_every_answer(is_behind_tls=False)})
        answer.force_close()
        return answer


class _JsonServer(web.Server):
    def __call__(self) -> JsonProtocol:
        return JsonProtocol(self, loop=self._loop, **self._kwargs)


class JsonRunner(web.AppRunner):
    """Runs an application on such connections."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        app, loop = self._app, asyncio.get_running_loop()
        app._set_loop(loop)
        app.on_startup.freeze()
        await app.startup()
        app.freeze()
        settings: dict[str, Any] = {**self._kwargs, "debug": False}
        return _JsonServer(
            app._handle,  # type: ignore[arg-type]  # as aiohttp itself passes it
            request_factory=app._make_request,
            loop=loop,
            **settings,
        )
