"""Administrator routes that act on accounts: freeze, unfreeze, correct, revoke. Each is an entry in the log of operators."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from api.access.idempotency import IDEMPOTENCY_KEY, required_key
from api.bodies import BodyReader
from api.errors import Refusal, refusal_of
from api.paths import no_such_user, user_id_in
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.operating.acts import ActView, CorrectionRequest, ReasonRequest
from schemas.units import Timestamp
from store.operators.acts import Operator
from store.operators.corrections import correct
from store.operators.freezing import freeze, unfreeze
from store.operators.rights import Kept, end_sessions, remove_totp, revoke_admin, revoke_keys
from store.session.connect import Session

_reason = BodyReader(ReasonRequest)
_correction = BodyReader(CorrectionRequest)
_DONE = Answer(ActView, "What was done, as the log of operators has it.")
_CORRECTED = Answer(ActView, _DONE.description, ("Idempotent-Replayed",))
_WHY_KEPT = {
    Kept.NO_TOTP: Refusal(ErrorCode.NOT_FOUND, "the user has no TOTP"),
    Kept.NOT_ONE: Refusal(ErrorCode.INVALID_REQUEST, "the user is no administrator", {"field": "userId"}),
    Kept.LAST_ONE: Refusal(ErrorCode.FORBIDDEN, "the last administrator stays one", {"reason": "LAST_ADMIN"}),
}
Doing = Callable[[Session, Operator, int, str, Timestamp], Awaitable[ActView | Kept | None]]


async def correct_balance(request: web.Request, admin: int) -> web.Response:
    """Give money to a wallet, or take it: double entry, once per key."""
    services, user, key = services_of(request), user_id_in(request), required_key(request)
    asked = await _correction.read(request)
    done = await services.database.run(
        lambda session: correct(session, user, asked, key, services.now(), operator=Operator(admin, None))
    )
    if isinstance(done, Refused):
        raise no_such_user() if done.code is ErrorCode.UNAUTHENTICATED else refusal_of(done)
    headers = {"Idempotent-Replayed": "true"} if done.is_replay else None
    return json_answer(done.answer, status=201, headers=headers)


def _act_on(name: str, doing: Doing, operation_id: str, summary: str, *errors: ErrorCode) -> Route:
    """An act on one account that needs nothing but a reason."""

    async def act(request: web.Request, admin: int) -> web.Response:
        services, user, asked = services_of(request), user_id_in(request), await _reason.read(request)
        done = await services.database.run(
            lambda session: doing(session, Operator(admin, None), user, asked.reason, services.now())
        )
        if done is None or done is Kept.NO_USER:
            raise no_such_user()
        if isinstance(done, Kept):
            why = _WHY_KEPT[done]
            raise Refusal(why.code, why.message, why.details)
        return json_answer(done)

    return Route(
        "POST",
        f"/admin/users/{{userId}}/{name}",
        act,
        operation_id,
        summary,
        {200: _DONE},
        access=Access.ADMIN,
        body=ReasonRequest,
        errors=(ErrorCode.NOT_FOUND, *errors),
        tag="admin",
    )


ROUTES = (
    _act_on("freeze", freeze, "freezeUser", "Let an account only reduce its positions"),
    _act_on("unfreeze", unfreeze, "unfreezeUser", "Let a frozen account trade and withdraw again"),
    _act_on("revoke-keys", revoke_keys, "revokeUserApiKeys", "Revoke every API key of a user"),
    _act_on("end-sessions", end_sessions, "endUserSessions", "End every session of a user"),
    _act_on("remove-totp", remove_totp, "removeUserTotp", "Let a user log in without a code"),
    _act_on(
        "revoke-admin", revoke_admin, "revokeUserAdmin", "Make an administrator an ordinary user", ErrorCode.FORBIDDEN
    ),
    Route(
        "POST",
        "/admin/users/{userId}/corrections",
        correct_balance,
        "correctUserBalance",
        "Correct a balance",
        {201: _CORRECTED},
        access=Access.ADMIN,
        body=CorrectionRequest,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.INSUFFICIENT_BALANCE, ErrorCode.IDEMPOTENCY_CONFLICT),
        parameters=(IDEMPOTENCY_KEY,),
        tag="admin",
    ),
)
