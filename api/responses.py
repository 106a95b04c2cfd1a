"""Successful answers: structs as JSON, with the headers that every answer carries."""

from typing import Any

import msgspec
from aiohttp import web

from api.access.cross_origin import origin_headers
from api.access.rate_limits import LIMIT_FIELD, POLICY_FIELD, TOLD
from api.errors import request_id_of
from api.security_headers import of_every_answer
from api.services import services_of

_encode = msgspec.json.Encoder().encode
_SET_BY_PAGES = frozenset({"Content-Security-Policy", "Cache-Control"})


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A struct, or a list of them, as JSON."""
    return web.Response(status=status, body=_encode(body), content_type="application/json", headers=headers)


async def add_common_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """Headers of every answer: its request id, the security headers, and the state of the caller's budget."""
    services, headers = services_of(request), answer.headers
    headers["X-Request-Id"] = request_id_of(request)
    for name, value in of_every_answer(is_behind_tls=services.settings.is_behind_tls).items():
        if name not in _SET_BY_PAGES or name not in headers:
            headers[name] = value
    for name, value in origin_headers(services, request.headers.get("Origin")).items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if TOLD in request:
        headers[POLICY_FIELD], headers[LIMIT_FIELD] = request[TOLD]
    if services.lifecycle.is_stopping:
        answer.force_close()
        headers["Connection"] = "close"
