"""Registration and login."""

from aiohttp import web

from api.access.budgets import Budget
from api.access_log import CALLER
from api.bodies import BodyReader
from api.errors import Refusal
from api.responses import json_answer
from api.route import Answer, Route
from api.services import services_of
from schemas.refusals import ErrorCode
from schemas.rest.users import Credentials, LoggedIn, Registered
from store.users.users import create_user, find_user, normal_email

_credentials = BodyReader(Credentials)


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
    """Exchange email and password for a token; an unknown user costs the same work and gets the same answer as a wrong password."""
    services = services_of(request)
    credentials = await _credentials.read(request)
    services.limits.take(request, Budget.LOGIN_ATTEMPTS, normal_email(credentials.email))
    user = await services.database.run(lambda session: find_user(session, credentials.email))
    stored = user.password_hash if user else None
    if not await services.passwords.matches(stored, credentials.password) or user is None:
        raise Refusal(ErrorCode.UNAUTHENTICATED, "email or password is wrong")
    request[CALLER] = user.user_id
    return json_answer(LoggedIn(services.tokens.issue(user.user_id), str(user.user_id)))


ROUTES = (
    Route(
        "POST",
        "/auth/register",
        register,
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
        "Exchange email and password for a bearer token",
        {200: Answer(LoggedIn, "A token for the Authorization header.")},
        body=Credentials,
        errors=(ErrorCode.UNAUTHENTICATED, ErrorCode.OVERLOADED),
        tag="auth",
    ),
)
