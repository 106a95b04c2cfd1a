"""The caller's sessions: list and end. Only a login token is accepted here, no API key."""

from aiohttp import web

from api.access.auth import login_of
from api.errors import Refusal
from api.paging import PAGING, page_answer, page_request
from api.paths import number_in, shown_text
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.bodies import Page
from schemas.rest.users import LoginView
from store.users.logins import end_login, list_logins


async def list_own(request: web.Request, user: int) -> web.Response:
    """The caller's sessions in force, newest first."""
    asked, services, current = page_request(request, PAGING), services_of(request), login_of(request)
    return page_answer(
        await services.database.run(lambda session: list_logins(session, user, asked, services.now(), current))
    )


async def end(request: web.Request, user: int) -> web.Response:
    """End one of the caller's sessions: its token is dead, and its sockets close."""
    text, services = request.match_info["sessionId"], services_of(request)
    login, at = number_in(text), services.now()
    if not await services.database.run(lambda session: end_login(session, user, login, at)):
        raise Refusal(ErrorCode.NOT_FOUND, "no such session", {"sessionId": shown_text(text)})
    services.logins.end([login], at)
    return web.Response(status=204)


ROUTES = (
    Route(
        "GET",
        "/auth/sessions",
        list_own,
        "listSessions",
        "List the sessions in force, newest first",
        {200: Answer(Page[LoginView], "Sessions: logins whose tokens are alive.")},
        access=Access.USER,
        parameters=PAGING,
        tag="auth",
    ),
    Route(
        "DELETE",
        "/auth/sessions/{sessionId}",
        end,
        "endSession",
        "End a session",
        {204: Answer(None, "Its token is dead, everywhere within a second.")},
        access=Access.USER,
        errors=(ErrorCode.NOT_FOUND,),
        tag="auth",
    ),
)
