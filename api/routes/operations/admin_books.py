"""Administrator routes about the books: conservation now, audits, verifications, and the receipts of forced actions."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from api.paging import FROM, ORDERED, TIMED, TO, page_answer, page_request
from api.responses import json_answer
from api.route import Access, Answer, Parameter, Route
from api.services import services_of
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.operating.console import AuditRunView, ConservationView, OperatorReceiptView, VerificationView
from store.queries.accounts.receipts import list_all_receipts
from store.queries.operations.books import list_audits, list_verifications, read_conservation
from store.queries.paging import ListRequest
from store.session.connect import Session

Reading = Callable[[Session, ListRequest], Awaitable[Page[Any] | Refused]]


async def conservation(request: web.Request, _admin: int) -> web.Response:
    """All money of the exchange, in one snapshot."""
    services = services_of(request)
    return json_answer(await services.database.run(lambda session: read_conservation(session, services.now())))


def _list_of(
    name: str, operation_id: str, view: Any, reading: Reading, *, summary: str, parameters: tuple[Parameter, ...]
) -> Route:
    async def listed(request: web.Request, _admin: int) -> web.Response:
        asked = page_request(request, parameters)
        return page_answer(await services_of(request).database.run(lambda session: reading(session, asked)))

    return Route(
        "GET",
        f"/admin/{name}",
        listed,
        operation_id,
        summary,
        {200: Answer(Page[view], "One page.")},
        access=Access.ADMIN,
        parameters=parameters,
        tag="admin",
    )


ROUTES = (
    Route(
        "GET",
        "/admin/conservation",
        conservation,
        "getConservation",
        "Show whether money is conserved",
        {200: Answer(ConservationView, "The sums of one snapshot.")},
        access=Access.ADMIN,
        tag="admin",
    ),
    _list_of(
        "audits",
        "listAudits",
        AuditRunView,
        list_audits,
        summary="List the runs of the periodic audit",
        parameters=(*ORDERED, FROM, TO),
    ),
    _list_of(
        "verifications",
        "listVerifications",
        VerificationView,
        list_verifications,
        summary="List the runs of `verify`",
        parameters=(*ORDERED, *TIMED),
    ),
    _list_of(
        "liquidations",
        "listUserLiquidations",
        OperatorReceiptView,
        list_all_receipts,
        summary="List the receipts of forced actions on all accounts",
        parameters=(*ORDERED, *TIMED),
    ),
)
