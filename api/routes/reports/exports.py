"""Exports of the caller's lists as files."""

import asyncio
import logging

import msgspec
from aiohttp import web

from api.errors import Refusal, refusal_of, request_id_of
from api.paging import FROM, TO, one_of, page_request
from api.paths import shown_text
from api.route import Access, Answer, Parameter, Route
from api.routes.reports.export_files import EXPORTS, KINDS, PAGE_ROWS, TYPES, Csv, Format, Kind, NdJson, writer_of
from api.services import Services, services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.api_keys import Scope
from schemas.rest.bodies import Page
from store.queries.paging import ListRequest
from store.session.connect import StoreUnavailable

_FORMAT = Parameter(
    "format", {"type": "string", "enum": [each.value for each in Format], "default": Format.CSV.value}, "Of the file"
)
_TAKEN_WITHIN_S = 30.0
"""How long a client may take to read what a page fills; one that reads nothing is cut off."""

log = logging.getLogger(__name__)


async def export(request: web.Request, user: int) -> web.StreamResponse:
    """The whole list of a period, oldest first; each row once, also those that arrive meanwhile.

    An answer that breaks off is not ended as HTTP asks, so a client knows that it is not whole.
    """
    services, name = services_of(request), request.match_info["kind"]
    kind = KINDS.get(name)
    if kind is None:
        raise Refusal(ErrorCode.NOT_FOUND, f"there are exports of {', '.join(KINDS)}", {"kind": shown_text(name)})
    asked, format_ = page_request(request, (FROM, TO, _FORMAT)), Format(one_of(request, _FORMAT))
    asked = msgspec.structs.replace(asked, limit=PAGE_ROWS, is_oldest_first=True)
    with request.app[EXPORTS].of(user):
        page = await _read(services, kind, user, asked)
        answer = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}.{format_}"'})
        answer.content_type, answer.charset = TYPES[format_], "utf-8"
        await answer.prepare(request)
        if request.method != "HEAD":
            await _write(request, answer, writer_of(format_, kind), page, (kind, user, asked))
    return answer


async def _write(
    request: web.Request,
    answer: web.StreamResponse,
    writer: Csv | NdJson,
    page: Page[object],
    of: tuple[Kind, int, ListRequest],
) -> None:
    """Write page after page; cut the connection where the database is lost or the client reads nothing."""
    services, (kind, user, asked) = services_of(request), of
    try:
        await _send(answer, writer.head() + writer.rows(page.data))
        while page.next_cursor is not None:
            page = await _read(services, kind, user, msgspec.structs.replace(asked, cursor=page.next_cursor))
            await _send(answer, writer.rows(page.data))
        await _send(answer, writer.tail())
        await answer.write_eof()
    except (StoreUnavailable, TimeoutError, Refusal) as error:
        log.warning(
            "export %s was cut off: %r", request_id_of(request), error, extra={"request": request_id_of(request)}
        )
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from error


async def _send(answer: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(_TAKEN_WITHIN_S):
        await answer.write(text)
    await asyncio.sleep(0)  # others have their turn, also while the client reads fast


async def _read(services: Services, kind: Kind, user: int, asked: ListRequest) -> Page[object]:
    page = await services.database.run(lambda session: kind.read(session, user, asked))
    if isinstance(page, Refused):
        raise refusal_of(page)
    return page


ROUTES = (
    Route(
        "GET",
        "/exports/{kind}",
        export,
        "exportHistory",
        "Export fills, orders, ledger or funding as a file, oldest first",
        {
            200: Answer(
                str,
                "The file: CSV with a header, or JSON lines of which the last has the number of rows and their SHA-256.",
            )
        },
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.OVERLOADED),
        parameters=(FROM, TO, _FORMAT),
        content_type=", ".join(TYPES.values()),
        tag="account",
    ),
)
