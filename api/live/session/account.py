"""Who is at the other end, and whether it is there."""

from api.access.auth import named_by, signed_secret
from api.access.signatures import signed_handshake
from api.bodies import BodyReader
from api.errors import Refusal
from api.live.session.operation import Operation
from api.live.session.replies import Reply, ok
from api.live.session.session import LOGGED_OUT, LOGGED_OUT_CODE, Session
from api.live.session.sessions import SESSIONS
from schemas.live.answers import AuthView, PongView
from schemas.live.requests import Auth, Ping
from schemas.refusals import ErrorCode
from schemas.units import format_timestamp


async def authenticate(session: Session, asked: Auth) -> Reply:
    """From now on the connection acts for the user of this token or key, which may be a newer one of the same user."""
    word = await _word_of(session, asked)
    caller = await named_by(session.request, word)
    if session.user not in (None, caller.user):
        raise Refusal(
            ErrorCode.INVALID_REQUEST, "the connection is another user's: open one of its own", {"field": "token"}
        )
    session.request.app[SESSIONS].assign(session, caller.user)
    session.word, session.login = word, caller.login
    if caller.login is not None and session.services.logins.has_ended(caller.login):  # while it was looked up
        session.close_soon(LOGGED_OUT_CODE, LOGGED_OUT)
    ends = None if caller.expires_at is None else format_timestamp(caller.expires_at)
    return ok(AuthView(str(caller.user), sorted(caller.scopes), ends))


async def _word_of(session: Session, asked: Auth) -> str:
    """The token, or the secret that has signed."""
    signed = (asked.api_key, asked.timestamp, asked.signature)
    if asked.token is not None and not any(signed):
        return asked.token
    if asked.token is not None or not all(signed):
        message = "auth takes a token, or apiKey, timestamp and signature"
        raise Refusal(ErrorCode.INVALID_REQUEST, message, {"field": "token"})
    handshake = signed_handshake(*map(str, signed))
    secret = await signed_secret(session.request, handshake)
    await session.services.signed.use(handshake)
    return secret


async def pong(session: Session, _: Ping) -> Reply:
    """The time."""
    return ok(PongView(format_timestamp(session.services.now())))


OPERATIONS: tuple[Operation[Session], ...] = (
    Operation("auth", BodyReader(Auth), authenticate, None),
    Operation("ping", BodyReader(Ping), pong, None),
)
