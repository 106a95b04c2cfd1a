"""The OpenAPI document and the page that shows it, from local files only."""

import msgspec
from aiohttp import web

from api.documents.openapi import document
from api.documents.static_files import StaticFile, named_by_hash
from api.documents.web_tree import WEB, WEB_TREE
from api.route import Answer, Route
from api.security_headers import FRAMED_BY_NOBODY
from schemas.refusals import ErrorCode

_VENDOR = WEB / "vendor" / "swagger-ui"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
) + FRAMED_BY_NOBODY
_FILES = (
    StaticFile("swagger-ui-bundle.js", (_VENDOR / "swagger-ui-bundle.js").read_bytes(), "text/javascript", _POLICY),
    StaticFile("swagger-ui.css", (_VENDOR / "swagger-ui.css").read_bytes(), "text/css", _POLICY),
    StaticFile("docs.js", (WEB / "docs.js").read_bytes(), "text/javascript", _POLICY),
)
_ASSETS = {file.name: file for file in _FILES} | {file.hashed_name: file for file in _FILES}
_PAGE = StaticFile("docs.html", named_by_hash(WEB_TREE.completed("docs.html").encode(), _FILES), "text/html", _POLICY)


async def show_document(request: web.Request) -> web.Response:
    """The OpenAPI document."""
    return await request.app[DOCUMENT].answer(request)


async def show_page(request: web.Request) -> web.Response:
    """The OpenAPI document as a page."""
    return await _PAGE.answer(request)


async def show_asset(request: web.Request) -> web.Response:
    """A file of that page; under the name with its hash it is cached for good."""
    name = request.match_info["file"]
    found = _ASSETS.get(name)
    if found is None:
        raise web.HTTPNotFound
    return await found.answer(request, is_immutable=name == found.hashed_name)


DOCUMENT = web.AppKey("DOCUMENT", StaticFile)


def encoded_document(routes: tuple[Route, ...]) -> StaticFile:
    """The OpenAPI document of these routes, encoded once."""
    return StaticFile("openapi.json", msgspec.json.encode(document(routes)), "application/json")


ROUTES = (
    Route(
        "GET",
        "/openapi.json",
        show_document,
        "getOpenapiDocument",
        "The OpenAPI document",
        {200: Answer(dict, "An OpenAPI 3.1 document.")},
        tag="docs",
    ),
    Route(
        "GET",
        "/docs",
        show_page,
        "getApiPage",
        "The REST documentation as a page",
        {200: Answer(str, "A page.")},
        content_type="text/html",
        tag="docs",
    ),
    Route(
        "GET",
        "/docs/{file}",
        show_asset,
        "getApiPageFile",
        "A file of the documentation page",
        {200: Answer(str, "The file.")},
        errors=(ErrorCode.NOT_FOUND,),
        content_type="*/*",
        tag="docs",
    ),
)
