"""The clients of a producer: one for all topics, and another for those in trouble, so that no topic holds up the others.

A client of aiokafka sends nothing to a broker while it waits to try a refused batch again, and it counts the batches that a
broker has refused for good, which the broker does not: it can append nothing to such a topic any more.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaError, KafkaTimeoutError

STUCK_AFTER_S = 1.0
CLOSED_WITHIN_S = 1.0
Send = Callable[[AIOKafkaProducer], Awaitable[Any]]

log = logging.getLogger(__name__)


class _Pending(NamedTuple):
    topic: str
    began_s: float
    answer: asyncio.Future[Any]


class _Client:
    """A client, and the batches that it has under way, oldest first."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.spoiled: set[str] = set()
        self.is_retired = False
        self._entering: set[asyncio.Timeout] = set()
        self._pending: dict[_Pending, None] = {}
        self._answered_began_s = 0.0

    @property
    def pending_topics(self) -> set[str]:
        """The topics of the batches under way, including those that nobody waits for any more."""
        return {each.topic for each in self._pending}

    async def append(self, topic: str, send: Send) -> int:
        """Send a batch; returns its offset."""
        try:
            sent = await self._enter(send)
        except KafkaError:
            self.spoiled.add(topic)
            raise
        pending = _Pending(topic, _now_s(), asyncio.get_running_loop().create_future())
        self._pending[pending] = None
        sent.add_done_callback(partial(self._answered, pending))
        return int((await pending.answer).offset)

    def stuck(self) -> str | None:
        """The topic that this client tries again and again, while it gets answers about what others sent later."""
        oldest = next(iter(self._pending), None)
        is_stuck = oldest is not None and oldest.began_s < min(self._answered_began_s, _now_s() - STUCK_AFTER_S)
        return oldest.topic if oldest is not None and is_stuck else None

    async def settle(self, within_s: float = CLOSED_WITHIN_S) -> None:
        """Wait until all is answered, or for a while."""
        if waiting := [each.answer for each in self._pending]:
            await asyncio.wait(waiting, timeout=within_s)

    async def end(self, within_s: float = CLOSED_WITHIN_S) -> None:
        """Close; what is not answered yet may be in the log or not, and raises KafkaTimeoutError."""
        for entering in self._entering:
            entering.reschedule(_now_s())
        _fail_all(self.producer)  # `stop` would go on trying
        done, _ = await asyncio.wait([asyncio.ensure_future(self.producer.stop())], timeout=within_s)
        if not done:
            await self.producer.client.close()  # the broker does not answer

    async def _enter(self, send: Send) -> asyncio.Future[Any]:
        """Give a batch to the client, which may wait for a topic that is not there, or have ended."""
        try:
            async with asyncio.timeout(None) as entering:
                self._entering.add(entering)
                try:
                    sent: asyncio.Future[Any] = await send(self.producer)
                finally:
                    self._entering.discard(entering)
        except TimeoutError as error:
            raise KafkaTimeoutError from error
        return sent

    def _answered(self, pending: _Pending, sent: asyncio.Future[Any]) -> None:
        del self._pending[pending]
        error = sent.exception()
        if error is not None:
            self.spoiled.add(pending.topic)  # the batch is counted here, and may not be in the log
        if pending.answer.done():
            return  # nobody waits for it any more
        if error is not None:
            pending.answer.set_exception(error)
        else:
            self._answered_began_s = pending.began_s
            pending.answer.set_result(sent.result())


class ProducerClients:
    """Chooses the client of each batch. A topic in trouble uses the other client until the broker has accepted a batch of it."""

    def __init__(self, connect: Callable[[], Awaitable[AIOKafkaProducer]]) -> None:
        self._connect = connect
        self._common: _Client | None = None
        self._other: _Client | None = None
        self._in_trouble: set[str] = set()
        self._changing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect; raises KafkaConnectionError when the broker is unavailable."""
        async with self._changing:
            if self._common is None:
                self._common = _Client(await self._connect())

    async def stop(self) -> None:
        """Disconnect; harmless when not connected."""
        for client in (self._common, self._other):
            if client is not None:
                self._retire(client)
        self._common = self._other = None
        if self._closing:
            await asyncio.wait(self._closing)

    async def append(self, topic: str, send: Send) -> int:
        """Send a batch of a topic and return its offset; raises KafkaError, after which it may be sent again."""
        client = await self._client_of(topic)
        offset = await client.append(topic, send)
        self._in_trouble.discard(topic)
        if not client.is_retired and (stuck := client.stuck()) is not None:
            log.warning("%s is tried by a client of its own: the broker answers about other topics", stuck)
            self._retire(client)
        return offset

    def give_up(self, topic: str) -> None:
        """Let no client go on trying a batch of this topic that nobody waits for any more."""
        for client in (self._common, self._other):
            if client is not None and topic in client.pending_topics:
                self._retire(client)

    def connection(self, topic: str) -> object | None:
        """The connection to the leader of a topic, if there is one. One that has ended is never the same again."""
        client = self._usable(topic) if self._common is not None else None
        return _connection(client.producer.client, topic) if client is not None else None

    def any_started(self) -> AIOKafkaProducer:
        """A client to make batches with."""
        assert self._common is not None, "started before it sends"  # noqa: S101 - a bug of ours, not a user's doing
        return self._common.producer

    def _retire(self, client: _Client) -> None:
        if not client.is_retired:
            client.is_retired = True
            closing = asyncio.create_task(self._close(client))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _close(self, client: _Client) -> None:
        await client.settle()
        self._in_trouble |= client.pending_topics
        await client.end()

    async def _client_of(self, topic: str) -> _Client:
        while (client := self._usable(topic)) is None:
            async with self._changing:
                if self._usable(topic) is None:
                    await self._renew()
        return client

    def _usable(self, topic: str) -> _Client | None:
        common, other = self._common, self._other
        assert common is not None, "started before it sends"  # noqa: S101 - a bug of ours, not a user's doing
        if common.is_retired:
            return None
        if topic not in self._in_trouble and topic not in common.spoiled:
            return common
        return other if other is not None and not other.is_retired and topic not in other.spoiled else None

    async def _renew(self) -> None:
        """Replace a client that is retired, or that a topic cannot use."""
        if self._common is None or self._common.is_retired:
            self._common = _Client(await self._connect())
        else:
            old, self._other = self._other, _Client(await self._connect())
            if old is not None:
                self._retire(old)


def _connection(client: AIOKafkaClient, topic: str) -> object | None:
    leader = client.cluster.leader_for_partition(TopicPartition(topic, 0))
    found: object | None = client._conns.get((leader, ConnectionGroup.DEFAULT))
    return found


def _fail_all(producer: AIOKafkaProducer) -> None:
    accumulator = producer._message_accumulator
    tried_again = [batch for batches in accumulator._batches.values() for batch in batches]
    accumulator._pending_batches.update(tried_again)  # a batch that ends takes itself from there
    accumulator.fail_all(KafkaTimeoutError())
    for batch in tried_again:
        batch._drain_waiter.exception()  # nobody waits for it


def _now_s() -> float:
    return asyncio.get_running_loop().time()
