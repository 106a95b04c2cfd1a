"""The second factor of a login: enrol, confirm, remove. Only a login token is accepted here, no API key."""

import io

import segno
from aiohttp import web

from api.bodies import BodyReader
from api.errors import Refusal, refusal_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.users import RecoveryCodes, TotpCode, TotpEnrolled
from store.users.totp import confirm, enrol, remove

_code = BodyReader(TotpCode)


async def start(request: web.Request, user: int) -> web.Response:
    """Make a secret and show it, only this once; logins go on without it until it is confirmed."""
    services = services_of(request)
    if not services.totp.is_available:
        raise Refusal(ErrorCode.FORBIDDEN, "this exchange has no key for TOTP: its operator sets TOTP_KEY")
    outcome = await services.database.run(lambda session: enrol(session, user, services.totp, services.now()))
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    enrolment, email = outcome
    uri = services.totp.uri_of(enrolment, email)
    return json_answer(TotpEnrolled(services.totp.secret_of(enrolment), uri, _svg_of(uri)))


async def prove(request: web.Request, user: int) -> web.Response:
    """Enable the enrolled secret with one of its codes; the answer has the recovery codes, only this once."""
    services, asked = services_of(request), await _code.read(request)
    outcome = await services.database.run(
        lambda session: confirm(session, user, asked.code, services.totp, services.now())
    )
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    return json_answer(RecoveryCodes(outcome))


async def end(request: web.Request, user: int) -> web.Response:
    """Remove the second factor with a code of it."""
    services, asked = services_of(request), await _code.read(request)
    refused = await services.database.run(
        lambda session: remove(session, user, asked.code, services.totp, services.now())
    )
    if refused is not None:
        raise refusal_of(refused)
    return web.Response(status=204)


def _svg_of(uri: str) -> str:
    """The QR code as a document of its own, dark on light whatever the page's theme: scanners need that."""
    drawn = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(
        drawn, kind="svg", xmldecl=False, nl=False, omitsize=True, light="#fff", dark="#000"
    )
    return drawn.getvalue().decode()


ROUTES = (
    Route(
        "POST",
        "/auth/totp",
        start,
        "enrolTotp",
        "Enrol an authenticator app",
        {200: Answer(TotpEnrolled, "The secret; it is not shown again, and not in force before it is confirmed.")},
        access=Access.USER,
        errors=(ErrorCode.TOTP_ENABLED,),
        tag="auth",
    ),
    Route(
        "POST",
        "/auth/totp/confirm",
        prove,
        "confirmTotp",
        "Enable TOTP with a first code",
        {200: Answer(RecoveryCodes, "TOTP is enabled; the recovery codes are not shown again.")},
        access=Access.USER,
        body=TotpCode,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.TOTP_ENABLED),
        tag="auth",
    ),
    Route(
        "DELETE",
        "/auth/totp",
        end,
        "removeTotp",
        "Remove TOTP with a code",
        {204: Answer(None, "Logins and withdrawals need no code.")},
        access=Access.USER,
        body=TotpCode,
        errors=(ErrorCode.NOT_FOUND,),
        tag="auth",
    ),
)
