"""One connection: its requests are handled in their order, each gets one result, and limits end it."""

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from time import perf_counter

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from api.access.auth import address_name, caller_of, known_caller
from api.access.budgets import Budget
from api.errors import Refusal, answered, new_request_id
from api.live.metrics import LIVE_CLOSED, LIVE_SUBSCRIPTIONS
from api.live.outgoing import Key, Outgoing
from api.live.session.operation import Operation
from api.live.session.orders_in_flight import OrdersInFlight
from api.live.session.replies import Asked, Reply, Submitted, reply_of, reply_to, result_frame
from api.live.session.write_turns import WriteTurns
from api.live.session.writing import Writer
from api.live.subscription import Subscription
from api.metrics import RESPONSES
from api.services import services_of
from schemas.live.answers import Goodbye, SocketError, Unsubscribed
from schemas.live.requests import Channel, Envelope, RequestId
from schemas.refusals import ErrorCode
from schemas.rest.api_keys import Scope
from schemas.wire import UNDECODABLE
from store.session.connect import StoreUnavailable

FRAME_BYTES_MAX = 64 * 1024
MESSAGE_BYTES_MAX = 256 * 1024
"""A longer message is not read to its end: the connection is closed with 1009."""
BAD_FRAMES_MAX, BAD_FRAMES_WITHIN_S = 10, 60.0
PING_EVERY_S = 15.0
PINGS_UNANSWERED_MAX = 2
CLOSE_WITHIN_S = 2.0
"""How long a client has to read what waits, and then to answer the close frame."""
FRAMES_A_TURN = 64
"""After so many frames other connections have their turn."""
SLOW, SILENT, BAD_FRAMES, STOPPING, FAILED = "slow", "silent", "bad frames", "stopping", "error"
LOGGED_OUT = "logged out"
SLOW_CODE = 4008
LOGGED_OUT_CODE = 4001
_CODES_OF_NO_FRAME = {1005, 1006, 1015}
"""RFC 6455, section 7.4.1: they say that there was none, and are never sent."""
_ENDED = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
_envelope = msgspec.json.Decoder(Envelope)
_encode = msgspec.json.Encoder().encode


class Session:
    """A connection from its handshake to its end. `user` is whom `auth` has named, also after the authorisation has ended."""

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        operations: dict[str, Operation["Session"]],
        turns: WriteTurns,
    ) -> None:
        self.request, self.services = request, services_of(request)
        self.address = address_name(request)
        self.user: int | None = None
        self.word = ""
        self.login: int | None = None
        """Of the token, where it is one."""
        self.orders = OrdersInFlight()
        self.markets: set[str] = set()
        self.subscriptions: dict[Key, Subscription] = {}
        self._private: set[Key] = set()
        self.cancels_on_disconnect = False
        self._socket, self._operations = socket, operations
        self._writer = Writer(request, turns)
        self.outgoing = Outgoing(
            self._writer.wake,
            partial(self.close_soon, SLOW_CODE, SLOW),
            partial(self.close_soon, 1011, FAILED),
            bytes_max=self.services.settings.unread_bytes_max,
        )
        self._bad_frames: deque[float] = deque(maxlen=BAD_FRAMES_MAX)
        self._unanswered_pings = 0
        self._beat: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer requests until the connection ends, however it ends."""
        self._writing = asyncio.create_task(self._writer.write(self.outgoing), name="write to a socket")
        self._beat_later()
        try:
            await self._read()
            if self._closing is not None:
                await self._closing
        finally:
            if self._beat is not None:
                self._beat.cancel()
            for key in list(self.subscriptions):
                self.unsubscribe(key)
            self._writing.cancel()
            self.outgoing.close()
            with suppress(asyncio.CancelledError, ConnectionError):
                await self._writing

    def close_soon(self, code: int, reason: str) -> None:
        """Send what waits and `goodbye`, then close with this code; a client that reads nothing is cut off."""
        if self._closing is None:
            LIVE_CLOSED.labels(reason).inc()
            self._closing = asyncio.create_task(self._close(code, reason), name="close a socket")

    @property
    def owner(self) -> int:
        """The user of an operation that needs one."""
        assert self.user is not None  # noqa: S101 - checked before the operation
        return self.user

    def trades_in(self, market: str) -> None:
        """`cancel_on_disconnect` is about this market too."""
        if market in self.services.registry.by_name:
            self.markets.add(market)

    def add(self, key: Key, subscription: Subscription, *, is_private: bool = False) -> None:
        """The connection has one more subscription; a private one ends with the authorisation."""
        self.subscriptions[key] = subscription
        if is_private:
            self._private.add(key)
        LIVE_SUBSCRIPTIONS.labels(key[0]).inc()

    def unsubscribe(self, key: Key) -> None:
        """The connection has one subscription less."""
        self._private.discard(key)
        self.subscriptions.pop(key).cancel()
        LIVE_SUBSCRIPTIONS.labels(key[0]).dec()

    def end_authorisation(self) -> None:
        """Nothing more is allowed or sent in the name of the user until the next `auth`."""
        self.word = ""
        for key in list(self._private):
            self.unsubscribe(key)
            self.outgoing.append(_encode(Unsubscribed(Channel(key[0]), ErrorCode.UNAUTHENTICATED)))

    async def check_authorisation(self) -> None:
        """End the authorisation if the token or key is not valid any more, where something is sent in its name."""
        if self._private:
            with suppress(Refusal, StoreUnavailable):
                await self.caller(Scope.READ)

    async def _read(self) -> None:
        frames = 0
        while True:
            await self.orders.room()
            message = await self._socket.receive()
            if message.type is WSMsgType.CLOSE:
                await self._close_in_turn(message.data)
            if message.type in _ENDED:
                return
            self._unanswered_pings = 0
            if self._closing is None:
                await self._take(message)
            frames += 1
            if frames % FRAMES_A_TURN == 0:
                await asyncio.sleep(0)

    async def _take(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT if not _is_utf8(message.data):
                await self._socket.close(code=1007, message=b"a text that is not UTF-8", drain=False)
            case WSMsgType.TEXT if len(message.data) <= FRAME_BYTES_MAX:
                await self._take_text(message.data)
            case WSMsgType.PING:
                await self._socket.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.TEXT:
                self._refuse_frame(ErrorCode.PAYLOAD_TOO_LARGE, "the frame is larger than 64 KiB")
            case _:
                self._refuse_frame(ErrorCode.INVALID_REQUEST, "the frame is not text")

    async def _take_text(self, text: bytes) -> None:
        try:
            envelope = _envelope.decode(text)
        except UNDECODABLE:
            self._refuse_frame(ErrorCode.INVALID_REQUEST, "the frame is not a JSON object with an `op`")
            return
        operation = self._operations.get(envelope.op)
        if operation is None:
            self._refuse_frame(ErrorCode.INVALID_REQUEST, "there is no such `op`", envelope.id)
            return
        await self._handle(operation, text, envelope.id)

    async def _handle(self, operation: Operation["Session"], text: bytes, id_: RequestId | None) -> None:
        asked = Asked(id_, operation.op, new_request_id(), self.user, perf_counter())
        done = await answered(asked.request_id, operation.op, self._run(operation, text))
        if isinstance(done, Submitted):
            self.orders.add(done.outcome, partial(self._answer_submitted, asked, done))
        else:
            self._answer(asked, reply_of(done) if isinstance(done, web.Response) else done)

    async def _run(self, operation: Operation["Session"], text: bytes) -> Reply | Submitted:
        """1 who asks, 2 is it within the limits, 3 what is asked, 4 do it."""
        user, limits = await self.caller(operation.scope), self.services.limits
        if user is None:
            limits.take(self.request, Budget.PUBLIC, self.address)
        else:
            limits.take_of_user(self.request, operation.budget, user)
        return await operation.handle(self, operation.body.decode(text))

    async def caller(self, scope: Scope | None) -> int | None:
        """The user, as a REST request with this token or key would have; None where the operation needs none and there is none."""
        if scope is None:
            return self.user if self.word else None
        user = known_caller(self.services, self.word, scope)
        if user is not None:
            return user
        try:
            return await caller_of(self.request, self.word, scope)
        except Refusal as refusal:
            if refusal.code is ErrorCode.UNAUTHENTICATED and self.word:
                self.end_authorisation()
            raise

    def _answer_submitted(self, asked: Asked, submitted: Submitted) -> None:
        self._answer(asked, reply_to(asked, submitted))

    def _answer(self, asked: Asked, reply: Reply) -> None:
        """Send the result; count it and log it."""
        self.outgoing.append(result_frame(asked, reply))
        route, seconds = ("WS", asked.op), perf_counter() - asked.began_s
        RESPONSES.count(route, reply.status, seconds)
        self.services.access.add(asked.request_id, route, reply.status, seconds * 1_000, self.user)

    def _refuse_frame(self, code: ErrorCode, message: str, id_: RequestId | None = None) -> None:
        """Report a frame that is no request; too many of them end the connection."""
        self.outgoing.append(_encode(SocketError(code, message, id_)))
        now = asyncio.get_running_loop().time()
        self._bad_frames.append(now)
        if len(self._bad_frames) == BAD_FRAMES_MAX and now - self._bad_frames[0] <= BAD_FRAMES_WITHIN_S:
            self.close_soon(1008, BAD_FRAMES)

    def _beat_later(self) -> None:
        self._beat = asyncio.get_running_loop().call_later(PING_EVERY_S, self._ping)

    def _ping(self) -> None:
        if self._unanswered_pings == PINGS_UNANSWERED_MAX:
            self.close_soon(1011, SILENT)
            return
        self._unanswered_pings += 1
        self._writer.ping()
        self._beat_later()

    async def _close_in_turn(self, code: int) -> None:
        """The client closes: it still gets the answers to what it asked before."""
        await self._answer_the_rest()
        if self._closing is None:
            await self._socket.close(code=1002 if code in _CODES_OF_NO_FRAME else 1000, drain=False)

    async def _answer_the_rest(self) -> None:
        """Wait until the requests in flight are answered and what waits is written, for as long as a client has to read it."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self.orders.landed()
                await self._writer.flushed(self.outgoing)

    async def _close(self, code: int, reason: str) -> None:
        """1 what was asked is answered, 2 goodbye, 3 the closing handshake, 4 the end."""
        await self._answer_the_rest()  # 1
        goodbye = _encode(Goodbye(code, reason, tuple(self.outgoing.positions())))
        self.outgoing.close()
        self._writer.write_last(goodbye)  # 2
        with suppress(ConnectionError, RuntimeError):
            await self._socket.close(code=code, message=reason.encode(), drain=False)  # 3
        transport = self.request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()  # 4


def _is_utf8(text: bytes) -> bool:
    """Of the whole text: the decoder of JSON does not look at fields that it does not know."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
