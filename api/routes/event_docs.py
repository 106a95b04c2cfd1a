"""The AsyncAPI document of the public fill stream and the socket, and the page that shows it."""

import msgspec
from aiohttp import web

from api.documents.asyncapi import event_document
from api.documents.events_page import events_page
from api.documents.static_files import StaticFile
from api.documents.web_tree import PAGE_POLICY
from api.route import Answer, Route

_DOCUMENT = StaticFile("asyncapi.json", msgspec.json.encode(event_document()), "application/json")
_PAGE = StaticFile("events.html", events_page(event_document()).encode(), "text/html", PAGE_POLICY)


async def show_event_document(request: web.Request) -> web.Response:
    """The AsyncAPI document, for consumers of the stream."""
    return await _DOCUMENT.answer(request)


async def show_event_page(request: web.Request) -> web.Response:
    """The AsyncAPI document as a page."""
    return await _PAGE.answer(request)


ROUTES = (
    Route(
        "GET",
        "/asyncapi.json",
        show_event_document,
        "getAsyncapiDocument",
        "The stream of public fills and the socket, as an AsyncAPI document",
        {200: Answer(dict, "An AsyncAPI 3.1 document.")},
        tag="docs",
    ),
    Route(
        "GET",
        "/docs/events",
        show_event_page,
        "getEventsPage",
        "The stream of public fills and the socket, as a page",
        {200: Answer(str, "A page.")},
        content_type="text/html",
        tag="docs",
    ),
)
