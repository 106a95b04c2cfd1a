"""Monthly statements of the caller's wallet."""

import re
from datetime import UTC, datetime

from aiohttp import web

from api.errors import Refusal
from api.paths import shown_text
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.accounts import StatementView
from schemas.rest.api_keys import Scope
from schemas.units import datetime_of
from store.queries.accounts.statements import read_statement

_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])").fullmatch


async def statement(request: web.Request, user: int) -> web.Response:
    """The statement of one month: a month without entries opens and closes with the same wallet, one of the future is none."""
    services, text = services_of(request), request.match_info["month"]
    now, named = services.now(), _MONTH(text)
    month = None if named is None else datetime(int(named[1]), int(named[2]), 1, tzinfo=UTC)
    if month is None or month > datetime_of(now):
        raise Refusal(ErrorCode.NOT_FOUND, "no such month: write it as 2027-01", {"month": shown_text(text)})
    return json_answer(await services.database.run(lambda session: read_statement(session, user, month, now)))


ROUTES = (
    Route(
        "GET",
        "/statements/{month}",
        statement,
        "getStatement",
        "Show the statement of a month",
        {200: Answer(StatementView, "The sums of the month; they add up to the micro.")},
        access=Access.USER,
        scope=Scope.READ,
        errors=(ErrorCode.NOT_FOUND,),
        tag="account",
    ),
)
