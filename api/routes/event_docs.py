"""The AsyncAPI document of the public fill stream, and the page that shows it."""

import msgspec
from aiohttp import web

from api.documents.asyncapi import event_document
from api.documents.events_page import events_page
from api.route import Answer, Route

_DOCUMENT = msgspec.json.encode(event_document())
_PAGE = events_page(event_document())
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


async def show_event_document(_request: web.Request) -> web.Response:
    """The AsyncAPI document, for consumers of the stream."""
    return web.Response(body=_DOCUMENT, content_type="application/json")


async def show_event_page(_request: web.Request) -> web.Response:
    """The AsyncAPI document as a page."""
    return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


ROUTES = (
    Route(
        "GET",
        "/asyncapi.json",
        show_event_document,
        "The stream of public fills, as an AsyncAPI document",
        {200: Answer(dict, "An AsyncAPI 3.0 document.")},
        tag="docs",
    ),
    Route(
        "GET",
        "/docs/events",
        show_event_page,
        "The stream of public fills, as a page",
        {200: Answer(str, "A page.")},
        content_type="text/html",
        tag="docs",
    ),
)
