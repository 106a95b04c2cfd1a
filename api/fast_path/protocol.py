"""The server's connections: orders and cancels take the fast path, and malformed HTTP is answered in the contract's format.

aiohttp has no public hook for either; the internals used here are pinned by its version.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD

from api.errors import answer_of_status, new_request_id
from api.fast_path.fast_request import FastRequest, answer_to, answer_to_a_bug, fast_request_of
from api.live.session.masked_frames import MaskedFrames
from api.metrics import RESPONSES, UNMATCHED
from api.security_headers import of_every_answer
from api.services import SERVICES, Services
from store.submission import OneOutcome

log = logging.getLogger(__name__)


class JsonProtocol(web.RequestHandler):
    """A connection whose plain orders and cancels are handled as they are parsed (api.fast_path.fast_request), one at a time.

    Every other request takes aiohttp's path, through its task for the connection. `_unanswered`: requests handed to that
    task and not answered yet. `_held`: requests that arrived while a plain one is being answered; the task must not see
    them before the answer is written.
    """

    __slots__ = ("_held", "_is_answering", "_services", "_unanswered")

    def __init__(self, manager: web.Server, services: Services, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._services = services
        self._is_answering = False
        self._unanswered = 0
        self._held: deque[Any] = deque()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; a plain request with no other before it takes the fast path, the others wait in line."""
        if self._is_answering:
            self._swap_queues()
            self._parse(data)
            self._swap_queues()
            return
        known = len(self._messages)
        self._parse(data)
        new = len(self._messages) - known
        if new and not (new == 1 and not known and not self._unanswered and self._takes_quickly()):
            self._unanswered += new
            self._wake()

    def _parse(self, data: bytes) -> None:
        """Parse as aiohttp does, but without waking its task: the path of the requests is not decided yet."""
        sleeping, self._waiter = self._waiter, None
        try:
            super().data_received(data)
        finally:
            self._waiter = sleeping

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """From now on the connection is a WebSocket."""
        super().set_parser(MaskedFrames(parser), data_received_cb)  # type: ignore[arg-type]  # used by these two methods only

    def _takes_quickly(self) -> bool:
        """Submit the one parsed message if it is plain and the client keeps up with reading its answers."""
        message, payload = self._messages[0]
        if not hasattr(message, "headers") or not payload.is_eof():
            return False
        if self.transport is None or self.transport.get_write_buffer_size():
            return False
        body = b"" if payload is EMPTY_PAYLOAD else b"".join(payload._buffer)
        fast = fast_request_of(self._services, message, body)
        if fast is None:
            return False
        self._messages.clear()
        self._parser.message_consumed()  # type: ignore[union-attr]  # set as long as there is a transport
        self._manager.requests_count += 1  # type: ignore[union-attr]
        self._is_answering = self._request_in_progress = True  # aiohttp's shutdown waits for the second
        self._services.submissions.submit(fast.request).add_done_callback(partial(self._answer, fast))
        return True

    def _answer(self, fast: FastRequest, submitted: "asyncio.Future[OneOutcome]") -> None:
        self._is_answering = self._request_in_progress = False
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(_answer_to(fast, submitted))
            self._restart_keepalive()
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self._held:
            self._swap_queues()
            self._unanswered = len(self._messages)
            self._wake()

    def _swap_queues(self) -> None:
        self._messages, self._held = self._held, self._messages

    def _restart_keepalive(self) -> None:
        self._next_keepalive_close_time = self._loop.time() + self.keepalive_timeout
        if self._keepalive_handle is None and not self._force_close:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def _process_keepalive(self) -> None:
        """A connection that waits for its answer is not idle, although aiohttp's task sleeps."""
        if self._is_answering:
            self._keepalive_handle = None  # set again with the answer
        else:
            super()._process_keepalive()

    async def _handle_request(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        try:
            return await super()._handle_request(*arguments)
        finally:
            self._unanswered = max(0, self._unanswered - 1)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer malformed HTTP, and close the connection."""
        if status >= 500:
            log.error("connection failed: %s", message, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has already started")
        request_id = new_request_id()
        answer = answer_of_status(request_id, status)
        RESPONSES.count(UNMATCHED, status, 0.0)
        self._services.access.add(request_id, UNMATCHED, status, 0.0, None)
        fixed = of_every_answer(is_behind_tls=self._services.settings.is_behind_tls)
        answer.headers.update({"X-Request-Id": request_id, **fixed})
        answer.force_close()
        return answer


def _answer_to(fast: FastRequest, submitted: "asyncio.Future[OneOutcome]") -> bytes:
    bug = submitted.exception()
    if bug is None:
        return answer_to(fast, submitted.result())
    return answer_to_a_bug(fast, bug)


class _JsonServer(web.Server):
    def __init__(self, services: Services, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._services = services

    def __call__(self) -> JsonProtocol:
        return JsonProtocol(self, self._services, loop=self._loop, **self._kwargs)


class JsonRunner(web.AppRunner):
    """Runs an application with these connections."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        app, loop = self._app, asyncio.get_running_loop()
        app._set_loop(loop)
        app.on_startup.freeze()
        await app.startup()
        app.freeze()
        settings: dict[str, Any] = {**self._kwargs, "debug": False}
        return _JsonServer(
            app[SERVICES],
            app._handle,
            request_factory=app._make_request,
            loop=loop,
            **settings,
        )
