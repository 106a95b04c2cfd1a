"""The socket: one WebSocket for market data, private events and orders."""

from aiohttp import web

from api.errors import Refusal
from api.live.session import account, orders, subscriptions
from api.live.session.session import CLOSE_WITHIN_S, MESSAGE_BYTES_MAX, Session
from api.live.session.sessions import SESSIONS
from api.route import Answer, Route
from schemas.refusals import ErrorCode

OPERATIONS = {
    operation.op: operation for operation in (*account.OPERATIONS, *subscriptions.OPERATIONS, *orders.OPERATIONS)
}
"""Everything that can be asked, by its `op`."""


async def connect(request: web.Request) -> web.StreamResponse:
    """The handshake, then the connection until it ends."""
    socket = web.WebSocketResponse(
        timeout=CLOSE_WITHIN_S,
        autoclose=False,
        autoping=False,
        compress=False,
        decode_text=False,
        max_msg_size=MESSAGE_BYTES_MAX,
    )
    if request.method != "GET" or not socket.can_prepare(request).ok:
        raise Refusal(ErrorCode.INVALID_REQUEST, "this is a WebSocket: open it with a handshake (RFC 6455)")
    sessions = request.app[SESSIONS]
    sessions.admit(request)
    await socket.prepare(request)
    await sessions.serve(Session(request, socket, OPERATIONS, sessions.turns))
    return socket


ROUTES = (
    Route(
        "GET",
        "/ws",
        connect,
        "openSocket",
        "Open the socket",
        {101: Answer(None, "The connection is a WebSocket: `/docs/events` shows its messages.")},
        errors=(ErrorCode.FORBIDDEN, ErrorCode.OVERLOADED),
        tag="live",
    ),
)
