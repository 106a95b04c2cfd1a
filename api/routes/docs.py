"""The OpenAPI document and the page that shows it, from local files only."""

from pathlib import Path

import msgspec
from aiohttp import web

from api.documents.openapi import document
from api.route import Answer, Route
from api.security_headers import FRAMED_BY_NOBODY
from schemas.refusals import ErrorCode

WEB = Path(__file__).parents[2] / "web"
_VENDOR = WEB / "vendor" / "swagger-ui"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
) + FRAMED_BY_NOBODY
_ASSETS = {
    "swagger-ui-bundle.js": (_VENDOR / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_VENDOR / "swagger-ui.css", "text/css"),
    "docs.js": (WEB / "docs.js", "text/javascript"),
}


async def welcome(_request: web.Request) -> web.Response:
    """Redirect a browser to the documentation."""
    return web.Response(status=302, headers={"Location": "/docs"})


async def show_document(request: web.Request) -> web.Response:
    """The OpenAPI document."""
    return web.Response(body=request.app[DOCUMENT], content_type="application/json")


async def show_page(_request: web.Request) -> web.StreamResponse:
    """The OpenAPI document as a page."""
    return _file(WEB / "docs.html", "text/html")


async def show_asset(request: web.Request) -> web.StreamResponse:
    """A file of that page."""
    found = _ASSETS.get(request.match_info["file"])
    if found is None:
        raise web.HTTPNotFound
    return _file(*found)


def _file(path: Path, content_type: str) -> web.StreamResponse:
    headers = {"Content-Type": content_type + "; charset=utf-8", "Content-Security-Policy": _POLICY}
    return web.FileResponse(path, headers=headers)


DOCUMENT = web.AppKey("DOCUMENT", bytes)


def encoded_document(routes: tuple[Route, ...]) -> bytes:
    """The OpenAPI document of these routes, encoded once."""
    return msgspec.json.encode(document(routes))


ROUTES = (
    Route(
        "GET",
        "/",
        welcome,
        "Redirect to the documentation",
        {302: Answer(None, "The documentation is at `/docs`.", ("Location",))},
        tag="docs",
    ),
    Route(
        "GET",
        "/openapi.json",
        show_document,
        "The OpenAPI document",
        {200: Answer(dict, "An OpenAPI 3.1 document.")},
        tag="docs",
    ),
    Route(
        "GET",
        "/docs",
        show_page,
        "The REST documentation as a page",
        {200: Answer(str, "A page.")},
        content_type="text/html",
        tag="docs",
    ),
    Route(
        "GET",
        "/docs/{file}",
        show_asset,
        "A file of the documentation page",
        {200: Answer(str, "The file.")},
        errors=(ErrorCode.NOT_FOUND,),
        content_type="*/*",
        tag="docs",
    ),
)
