"""The pages for people, and the files that they are made of."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from api.documents.web_tree import WEB_TREE
from api.route import Answer, Route
from schemas.refusals import ErrorCode


def page_route(path: str, file: str, operation_id: str, summary: str) -> Route:
    """A route that shows a page of `web/`."""
    return Route(
        "GET",
        path,
        _shows(file),
        operation_id,
        summary,
        {200: Answer(str, "A page.")},
        content_type="text/html",
        tag="docs",
    )


def _shows(file: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    page = WEB_TREE.page(file)

    async def show(request: web.Request) -> web.Response:
        return await page.answer(request)

    return show


async def show_file(request: web.Request) -> web.Response:
    """A script or style of the pages; its address has the hash of all of them, and it is cached for good."""
    return await WEB_TREE.answer(request)


ROUTES = (
    page_route("/", "trade.html", "getStartPage", "The trading page"),
    page_route("/trade/{marketId}", "trade.html", "getTradePage", "The trading page of a market"),
    page_route("/operate", "operate.html", "getOperatePage", "The console of operators"),
    page_route("/account", "account.html", "getAccountPage", "The account page"),
    Route(
        "GET",
        "/web/{version}/{file}",
        show_file,
        "getPageFile",
        "A file of the pages",
        {200: Answer(str, "The file.")},
        errors=(ErrorCode.NOT_FOUND,),
        content_type="*/*",
        tag="docs",
    ),
)
