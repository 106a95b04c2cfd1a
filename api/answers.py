"""Successful answers: structs as JSON, with the headers that every answer carries."""

from typing import Any

import msgspec
from aiohttp import web

from api.errors import request_id_of
from api.services import services_of

SERVER_NAME = "perpetua"
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Server": SERVER_NAME}
FIXED_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items())
_encode = msgspec.json.Encoder().encode


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A struct, or a list of them, as JSON."""
    return web.Response(status=status, body=_encode(body), content_type="application/json", headers=headers)


async def add_common_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """What every answer carries: its request id, no sniffing, no caching, not who made the server."""
    answer.headers["X-Request-Id"] = request_id_of(request)
    answer.headers.update(_HEADERS)
    if services_of(request).lifecycle.is_stopping:
        answer.force_close()
        answer.headers["Connection"] = "close"
