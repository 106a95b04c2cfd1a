"""Cross-origin requests (CORS): pages of the allowed origins may call the API from a browser; off by default.

A caller is named by a header, never by a cookie, so credentials are not part of it.
"""

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from api.errors import Refusal
from api.services import Services, services_of
from schemas.refusals import ErrorCode

ANY_ORIGIN = "*"
_PREFLIGHT = {
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Wait-For-Command",
    "Access-Control-Max-Age": "600",
}
_EXPOSED_HEADERS = (
    "X-Request-Id, X-Command-Id, Location, Link, Retry-After, Idempotent-Replayed, RateLimit, RateLimit-Policy, ETag"
)


def origin_headers(services: Services, origin: str | None) -> dict[str, str]:
    """The headers that let a page of this origin read an answer; none for other origins, and none while CORS is off."""
    allowed = services.settings.cors_origins
    if not allowed:
        return {}
    if origin is None or (origin not in allowed and ANY_ORIGIN not in allowed):
        return {"Vary": "Origin"}
    named = ANY_ORIGIN if ANY_ORIGIN in allowed else origin
    return {"Vary": "Origin", "Access-Control-Allow-Origin": named, "Access-Control-Expose-Headers": _EXPOSED_HEADERS}


def check_origin(request: web.Request) -> None:
    """Refuse with FORBIDDEN a socket that a page of another origin opens, unless the origin is allowed: no preflight asks for it."""
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc == request.headers.get("Host", ""):
        return
    if "Access-Control-Allow-Origin" not in origin_headers(services_of(request), origin):
        raise Refusal(ErrorCode.FORBIDDEN, "pages of this origin may not open a socket")


@web.middleware
async def preflight_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the question a browser asks before a request of an allowed origin: 204. Any other OPTIONS request stays 405."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as refused:
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            raise
        if "Access-Control-Allow-Origin" not in origin_headers(services_of(request), request.headers.get("Origin")):
            raise
        return web.Response(status=204, headers=_PREFLIGHT | {"Access-Control-Allow-Methods": refused.headers["Allow"]})
