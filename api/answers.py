"""Successful answers: structs as JSON, and the 202 that is written as ready bytes."""

from typing import Any

import msgspec
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

from api.errors import request_id_of
from api.rate_limits import LIMIT_FIELD, POLICY_FIELD, TOLD
from api.security_headers import of_every_answer
from api.services import services_of

_encode = msgspec.json.Encoder().encode


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A struct, or a list of them, as JSON."""
    return web.Response(status=status, body=_encode(body), content_type="application/json", headers=headers)


async def add_common_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """What every answer carries: its request id, what browsers may do with it, and where its caller's budget stands."""
    services, headers = services_of(request), answer.headers
    headers["X-Request-Id"] = request_id_of(request)
    for name, value in of_every_answer(is_behind_tls=services.settings.is_behind_tls).items():
        if name != "Content-Security-Policy" or name not in headers:  # a page brings its own policy
            headers[name] = value
    if TOLD in request:
        headers[POLICY_FIELD], headers[LIMIT_FIELD] = request[TOLD]
    if services.lifecycle.is_stopping:
        answer.force_close()
        headers["Connection"] = "close"


def accepted(request: web.Request, body: bytes, headers: tuple[tuple[str, str], ...]) -> web.StreamResponse:
    """202 with a body that is encoded already, written in one go where the connection stays open.

    aiohttp's own response costs as much as everything else that the route does.
    """
    services = services_of(request)
    keeps = request.version == HttpVersion11 and request.keep_alive
    if not keeps or services.lifecycle.is_stopping:
        return web.Response(status=202, body=body, content_type="application/json", headers=headers)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    told = request.get(TOLD)
    if told is not None:
        lines += f"{POLICY_FIELD}: {told[0]}\r\n{LIMIT_FIELD}: {told[1]}\r\n"
    head = (
        "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n"
        f"X-Request-Id: {request_id_of(request)}\r\n{_FIXED[services.settings.is_behind_tls]}{lines}\r\n"
    )
    return _ReadyBytes(head.encode() + body)


class _ReadyBytes(web.StreamResponse):
    """An answer whose bytes, head included, are complete."""

    def __init__(self, message: bytes) -> None:
        super().__init__(status=202)
        self._message = message

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the bytes unless the client has left; wait for a client that does not read."""
        transport = request.transport
        if self._eof_sent or transport is None or transport.is_closing():
            return
        transport.write(self._message)
        self._eof_sent = True
        self._keep_alive = True
        if transport.get_write_buffer_size():
            await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""
        assert not data  # noqa: S101 - the message is complete


def _lines(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


_FIXED = {is_behind: _lines(of_every_answer(is_behind_tls=is_behind)) for is_behind in (False, True)}
