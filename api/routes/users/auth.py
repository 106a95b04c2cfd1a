"""Registration, login, password, logout."""

from aiohttp import web

from api.access.auth import login_of
from api.access.budgets import Budget
from api.access_log import CALLER
from api.bodies import BodyReader
from api.errors import Refusal, refusal_of
from api.responses import json_answer
from api.route import Access, Answer, Route
from api.services import Services, services_of
from schemas.refusals import ErrorCode, Refused
from schemas.rest.users import Credentials, LoggedIn, LoginRequest, Logout, PasswordChange, Registered
from store.session.connect import Session
from store.users.logins import NewLogin, end_login, end_logins, end_unnamed, start_login
from store.users.totp import check_code
from store.users.users import (
    StoredUser,
    change_password,
    create_user,
    find_user,
    is_password,
    normal_email,
    read_credentials,
)

_credentials = BodyReader(Credentials)
_login = BodyReader(LoginRequest)
_password_change = BodyReader(PasswordChange)
_logout = BodyReader(Logout)
_USER_AGENT_CHARACTERS_MAX = 256


async def register(request: web.Request) -> web.Response:
    """Create a user with an empty account."""
    services = services_of(request)
    credentials = await _credentials.read(request)
    email = credentials.email
    password_hash = await services.passwords.hash(credentials.password)
    user = await services.database.run(lambda session: create_user(session, email, password_hash, services.now()))
    if user is None:
        raise Refusal(ErrorCode.EMAIL_TAKEN, "this email address is already registered")
    request[CALLER] = user
    return json_answer(Registered(str(user)), status=201)


async def log_in(request: web.Request) -> web.Response:
    """Exchange email and password for a token; an unknown user costs the same work and gets the same answer as a wrong password.

    Only who knows the password learns whether a code is needed.
    """
    services = services_of(request)
    asked = await _login.read(request)
    services.limits.take(request, Budget.LOGIN_ATTEMPTS, normal_email(asked.email))
    user = await services.database.run(lambda session: find_user(session, asked.email))
    stored = user.password_hash if user else None
    if not await services.passwords.matches(stored, asked.password) or user is None:
        raise _wrong_credentials()
    login = _new_login(request, services, user)
    outcome = await services.database.run(lambda session: _start(session, services, login, user, asked.code))
    if outcome is None:
        raise _wrong_credentials()
    if isinstance(outcome, Refused):
        raise refusal_of(outcome)
    request[CALLER] = user.user_id
    return json_answer(LoggedIn(services.tokens.issue(user.user_id, outcome, login.at), str(user.user_id)))


async def set_password(request: web.Request, user: int) -> web.Response:
    """Change the password; every session but this one ends. A wrong password counts like one at a login."""
    services, asked = services_of(request), await _password_change.read(request)
    login, known = login_of(request), await services.database.run(lambda session: read_credentials(session, user))
    if known is None:
        raise Refusal(ErrorCode.UNAUTHENTICATED, "there is no such user")
    email, stored = known
    services.limits.take(request, Budget.LOGIN_ATTEMPTS, normal_email(email))
    if not await services.passwords.matches(stored, asked.password):
        raise _wrong_password()
    fresh = await services.passwords.hash(asked.new_password)
    at = services.now()

    async def change(session: Session) -> list[int] | None:
        async with session.transaction():
            if not await change_password(session, user, stored, fresh):
                return None
            return await end_logins(session, user, at, but=login)

    ended = await services.database.run(change)
    if ended is None:
        raise _wrong_password()
    services.logins.end(ended, at)
    return web.Response(status=204)


async def log_out(request: web.Request, user: int) -> web.Response:
    """End the caller's session, or every session of the user."""
    services, asked = services_of(request), await _logout.read_if_any(request) or Logout()
    login, at = login_of(request), services.now()

    async def end(session: Session) -> list[int]:
        if asked.everywhere:
            return await end_logins(session, user, at)
        if login < 0:
            return [await end_unnamed(session, user, at)]
        await end_login(session, user, login, at)
        return [login]

    services.logins.end(await services.database.run(end), at)
    return web.Response(status=204)


async def _start(
    session: Session, services: Services, login: NewLogin, user: StoredUser, code: str | None
) -> int | Refused | None:
    """1 lock the password that was checked, 2 check the code, 3 start: a refused code is committed, as it counts."""
    async with session.transaction():
        if not await is_password(session, user.user_id, user.password_hash):  # 1
            return None
        refused = await check_code(session, user.user_id, code, services.totp, login.at)  # 2
        return refused if refused is not None else await start_login(session, login)  # 3


def _new_login(request: web.Request, services: Services, user: StoredUser) -> NewLogin:
    at, address = services.now(), services.proxies.client_of(request)
    agent = "".join(filter(str.isprintable, request.headers.get("User-Agent", "")))[:_USER_AGENT_CHARACTERS_MAX]
    return NewLogin(user.user_id, at, str(address), agent)


def _wrong_credentials() -> Refusal:
    return Refusal(ErrorCode.UNAUTHENTICATED, "email or password is wrong")


def _wrong_password() -> Refusal:
    return Refusal(ErrorCode.UNAUTHENTICATED, "the password is wrong", {"reason": "WRONG_PASSWORD"})


ROUTES = (
    Route(
        "POST",
        "/auth/register",
        register,
        "registerUser",
        "Register a user",
        {201: Answer(Registered, "The user is registered; the account is empty.")},
        body=Credentials,
        errors=(ErrorCode.EMAIL_TAKEN, ErrorCode.OVERLOADED),
        tag="auth",
    ),
    Route(
        "POST",
        "/auth/login",
        log_in,
        "logInUser",
        "Exchange email and password for a bearer token",
        {200: Answer(LoggedIn, "A token for the Authorization header.")},
        body=LoginRequest,
        errors=(ErrorCode.UNAUTHENTICATED, ErrorCode.OVERLOADED),
        tag="auth",
    ),
    Route(
        "POST",
        "/auth/password",
        set_password,
        "changePassword",
        "Change the password",
        {204: Answer(None, "The password is changed; every other token of the user is dead.")},
        access=Access.USER,
        body=PasswordChange,
        errors=(ErrorCode.OVERLOADED,),
        tag="auth",
    ),
    Route(
        "POST",
        "/auth/logout",
        log_out,
        "logOutUser",
        "End this session, or all",
        {204: Answer(None, "The token is dead.")},
        access=Access.USER,
        body=Logout,
        is_body_optional=True,
        tag="auth",
    ),
)
