"""The page that a browser shows in place of a refusal: the same facts as the JSON body, in the look of the other pages."""

from html import escape

import msgspec
from aiohttp import web

from api.documents.web_tree import PAGE_POLICY, WEB_TREE
from schemas.rest.errors import ErrorView

_TEMPLATE = WEB_TREE.completed("error.html")
_KEPT = ("Retry-After", "Allow", "WWW-Authenticate")


def wants_page(request: web.BaseRequest) -> bool:
    """Whether a person looks: browsers name text/html when they open an address, programs and scripts do not."""
    return request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("Accept", "")


def as_page(refused: web.Response) -> web.Response:
    """The page for a refusal, with its status and the headers of its code."""
    assert isinstance(refused.body, bytes)  # noqa: S101 - every refusal has the one body
    error = msgspec.json.decode(refused.body, type=ErrorView).error
    text = _TEMPLATE
    for name, value in (("code", error.code), ("message", error.message), ("requestId", error.request_id)):
        text = text.replace(f"{{{{{name}}}}}", escape(value))
    headers = {name: refused.headers[name] for name in _KEPT if name in refused.headers}
    headers |= {"Content-Security-Policy": PAGE_POLICY, "Vary": "Accept"}
    page = web.Response(status=refused.status, text=text, content_type="text/html", charset="utf-8", headers=headers)
    if refused.keep_alive is False:
        page.force_close()
    return page
