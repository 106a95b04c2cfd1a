"""The socket: orders, market data and the account over a connection that is opened again whenever it ends."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from perpetua_client.errors import PerpetuaError, Refusal, SequenceGap, Unavailable, refusal_of
from perpetua_client.live.channels import LiveChannels
from perpetua_client.live.connection import Connection, Frame, Lost
from perpetua_client.live.orders import LiveOrders
from perpetua_client.live.subscription import Key, Subscription
from perpetua_client.orders import Orders
from perpetua_client.transport import Transport, outcome_of

AGAIN_AFTER_S = (0.05, 2.0)
"""Least and greatest wait before the next connection."""
HEARTBEAT_S = 20.0
T = TypeVar("T")


class Socket(LiveOrders, LiveChannels):
    """One account on one connection at a time, for `async with`.

    A connection that ends, or whose messages do not follow one another, is replaced: `auth` and every subscription go on from
    where they were. `gaps` counts the second, `connections` all.
    """

    def __init__(
        self, transport: Transport, orders: Orders, *, cancel_on_disconnect: bool = False, timeout_s: float = 10.0
    ) -> None:
        self._transport = transport
        self._orders = orders
        self._cancel_on_disconnect = cancel_on_disconnect
        self._timeout_s = timeout_s
        self._subscriptions: dict[Key, Subscription[Any]] = {}
        self._connection: Connection | None = None
        self._ready = asyncio.Event()
        self._failure: PerpetuaError | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.connections = 0
        self.gaps = 0

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        try:
            await self._is_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def request(self, op: str, **fields: Any) -> Frame:
        """One request on the connection of the moment. Raises Refusal, or Lost when the outcome is unknown."""
        await self._is_ready()
        return await self._asked(op, fields)

    async def _subscribed(self, subscription: Subscription[T]) -> Subscription[T]:
        """Have it asked for on this connection and every later one."""
        if subscription.key in self._subscriptions:
            raise ValueError(f"there is a subscription to {subscription.key} already")
        self._subscriptions[subscription.key] = subscription
        try:
            while subscription.connection != self.connections:
                await self._is_ready()
                with contextlib.suppress(Lost):
                    await self._ask_for(subscription)
        except PerpetuaError:
            del self._subscriptions[subscription.key]
            raise
        return subscription

    async def _unsubscribed(self, subscription: Subscription[Any]) -> None:
        """Ask for it no more."""
        self._subscriptions.pop(subscription.key, None)
        named = {name: value for name, value in subscription.key._asdict().items() if value is not None}
        with contextlib.suppress(PerpetuaError):
            await self.request("unsubscribe", **named)

    async def _is_ready(self) -> None:
        await self._ready.wait()
        if self._failure is not None:
            raise self._failure

    async def _keep(self) -> None:
        """Stay connected until this is cancelled, or the exchange refuses the credentials."""
        wait_s, most_s = AGAIN_AFTER_S
        while self._failure is None:
            before = self.connections
            try:
                await self._connect_once()
            except SequenceGap:
                self.gaps += 1
            except Refusal as refusal:
                self._fail(refusal)
            except (Lost, aiohttp.ClientError, OSError, TimeoutError):
                pass
            except msgspec.DecodeError as error:
                self._fail(PerpetuaError(f"a message of the exchange cannot be read: {error}"))
            wait_s = AGAIN_AFTER_S[0] if self.connections > before else min(most_s, wait_s * 2)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - so that clients do not return together

    async def _connect_once(self) -> None:
        url = self._transport.url.replace("http", "ws", 1) + "/ws"
        async with self._transport.session.ws_connect(url, max_msg_size=0, heartbeat=HEARTBEAT_S) as socket:
            self.connections += 1
            connection = self._connection = Connection(socket, self.connections, self._timeout_s)
            reading = asyncio.create_task(connection.read(self._receive, self._end_subscription))
            beginning = asyncio.create_task(self._begin())
            try:
                await asyncio.wait({reading, beginning}, return_when=asyncio.FIRST_COMPLETED)
                if beginning.done():
                    beginning.result()
                await reading
            finally:
                self._ready.clear()
                connection.close()
                for task in (reading, beginning):
                    task.cancel()
                await asyncio.wait({reading, beginning})
                for task in (reading, beginning):
                    if not task.cancelled():
                        task.exception()

    async def _begin(self) -> None:
        """Say who it is, then go on with every subscription."""
        if self._transport.credentials is not None:
            await self._insist("auth", self._transport.credentials.auth)
            if self._cancel_on_disconnect:
                await self._insist("cancel_on_disconnect", lambda: {"enabled": True})
        while late := [each for each in self._subscriptions.values() if each.connection != self.connections]:
            for subscription in late:
                await self._ask_for(subscription)
        self._ready.set()

    async def _ask_for(self, subscription: Subscription[Any]) -> None:
        subscription.connection = self.connections
        await self._insist("subscribe", lambda: subscription.request)

    async def _insist(self, op: str, fields: Callable[[], dict[str, Any]]) -> None:
        """Ask until there is a final answer."""
        while True:
            try:
                await self._asked(op, fields())
            except Unavailable:
                await asyncio.sleep(AGAIN_AFTER_S[1] / 4)
            else:
                return

    async def _asked(self, op: str, fields: dict[str, Any]) -> Frame:
        if self._connection is None:
            raise Lost("not connected")
        result = await self._connection.ask(op, fields)
        if result.op == "result" and result.status < 300:
            return result
        refusal = refusal_of(result.status, bytes(result.body))
        outcome = outcome_of(refusal)
        if outcome is None:
            raise refusal
        raise Unavailable(str(refusal)) from refusal

    async def _receive(self, key: Key, message: Any) -> None:
        subscription = self._subscriptions.get(key)
        if subscription is not None and subscription.connection == self.connections:
            await subscription.receive(message)

    def _end_subscription(self, frame: Frame) -> None:
        """The authorisation has ended, and its channels with it."""
        self._fail(Refusal(401, str(frame.code), "the authorisation of the connection has ended", {}, ""))

    def _fail(self, error: PerpetuaError) -> None:
        """The credentials are refused: nothing goes on by itself."""
        self._failure = error
        self._ready.set()
        for subscription in self._subscriptions.values():
            subscription.fail(error)
