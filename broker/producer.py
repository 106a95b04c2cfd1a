"""A producer of our own: when its send returns, the record is in the log."""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from broker.address import client_settings
from broker.producer_clients import ProducerClients
from broker.reader import NO_RECORD, LastRecord, record_at

SENT_BYTES_MAX = 2 * 2**20 - 64 * 1024  # below the topics' max.message.bytes, with room for the batch's header
BATCH_BYTES_MAX = 512 * 1024  # the fills of nearly any event record: they are acknowledged together
RETRY_AFTER_S = 0.2
DOUBTED_AFTER_S = 1.5  # below the shortest session (2 s, less a heartbeat): no frozen owner is replaced this soon
STRANGERS_MAX = 100  # ranges that are remembered until somebody asks for them
Headers = Sequence[tuple[str, bytes]]
T = TypeVar("T")


class OutgoingRecord(NamedTuple):
    """A record to be sent."""

    key: bytes
    value: bytes | None
    headers: Headers = ()


log = logging.getLogger(__name__)


class LogTruncated(Exception):
    """A record is not after an earlier one, or has replaced it: the broker has lost the tail of its log."""

    def __init__(self, topic: str, offset: int, last_offset: int) -> None:
        super().__init__(f"{topic}: offset {offset} after {last_offset}")
        self.topic = topic
        self.offset = offset
        self.last_offset = last_offset


class _Sent(NamedTuple):
    """When a send began, and the connection that there was to the leader of its topic."""

    began_s: float
    connection: object | None


_NOTHING_SENT = _Sent(-math.inf, None)


class _Activity:
    """When this process was last seen not to have worked for long: it may have been frozen, and replaced meanwhile."""

    def __init__(self) -> None:
        self._seen_s = self._resumed_s = -math.inf

    def note(self) -> None:
        """It works now."""
        now_s = time.monotonic()
        if now_s >= self._seen_s + DOUBTED_AFTER_S:
            self._resumed_s = now_s
        self._seen_s = now_s

    def was_interrupted_since(self, since_s: float) -> bool:
        """Whether it may have been frozen between then and now."""
        self.note()
        return self._resumed_s > since_s


class AckedProducer:
    """Sends one record of a topic at a time and waits for its acknowledgement; retries forever while the broker is unavailable.

    Records of several topics are under way together; a topic that refuses its records does not hold up the others.

    Faust's own producer is not idempotent and its failed sends are only logged.
    """

    def __init__(self, bootstrap: str, about: str = "") -> None:
        self._bootstrap = bootstrap
        self._about = about
        self._clients = ProducerClients(self._connected)
        self._last: dict[str, LastRecord] = {}
        self._sent: dict[str, _Sent] = {}  # by topic whose end was read: the last send
        self._strangers: dict[str, deque[range]] = {}
        self._activity = _Activity()  # on all topics together: one that is quiet proves nothing
        self.appended: Counter[str] = Counter()  # by topic: how many times the broker has acknowledged something

    async def start(self) -> None:
        """Connect; raises KafkaConnectionError when the broker is unavailable."""
        await self._clients.start()

    async def stop(self) -> None:
        """Disconnect; harmless when not connected. A record without an answer by then may be in the log or not."""
        await self._clients.stop()

    async def send(self, topic: str, value: bytes | None, key: bytes, headers: Headers = ()) -> None:
        """Append a record to partition 0 and wait until all replicas have it; a retry may append it twice.

        Raises LogTruncated, and KafkaError for an error that a retry cannot fix.
        """
        record = OutgoingRecord(key, value, headers)
        await self._append(topic, partial(self._send_once, topic, record), [record])

    async def send_together(self, topic: str, records: Sequence[OutgoingRecord]) -> None:
        """Append records in order, as many at a time as fit into a batch, which is appended whole or not at all.

        A retry may append a batch twice, never a later one before it. Raises like `send`.
        """
        while records:
            batch, count = self._packed(records)
            await self._append(topic, partial(self._send_batch, topic, records[:count], [batch]), records[:count])
            records = records[count:]

    def expect_beyond(self, topic: str, last: LastRecord) -> None:
        """Expect this record, read at the end of the topic, to stay there, and all records sent from now on to follow it."""
        self._last[topic] = max(last, self._last.get(topic, NO_RECORD), key=lambda record: record.offset)
        self._sent[topic] = _NOTHING_SENT

    def forget(self, topic: str) -> None:
        """Forget what is known of a topic: its end is to be read again."""
        for known in (self._last, self._sent, self._strangers):
            known.pop(topic, None)

    def give_up(self, topic: str) -> None:
        """Do not go on with a send that was cancelled."""
        self._clients.give_up(topic)

    def take_strangers(self, topic: str) -> list[range]:
        """Offsets between our own records, written by others since the last call: another owner, or a record not ours."""
        return list(self._strangers.pop(topic, ()))

    async def send_all(self, topic: str, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Append records in order, each durable before the next is sent."""
        for key, value in entries:
            await self.send(topic, value, key)

    async def _append(self, topic: str, send: Callable[[], Awaitable[int]], records: Sequence[OutgoingRecord]) -> None:
        """Send the records, and check that they follow every record that we know of.

        Other records may have replaced those that the log has lost, and hide the loss: our own copy, if a try had no
        answer; or those of another owner that noticed the loss, if we only read the end, were frozen for long, or
        have lost our connection: a leader that loses records has ended. Idempotence does not tell us: a broker that has
        no record of a producer left accepts any.
        """
        self._activity.note()
        sent = _Sent(time.monotonic(), self._clients.connection(topic))
        offset, tries = await self._until_answered(topic, send)
        self.appended[topic] += 1
        last = self._last.get(topic, NO_RECORD)
        is_doubtful = tries > 1 or self._is_doubtful(topic)
        if 0 <= offset <= last.offset or (is_doubtful and await self._is_replaced(topic, last)):
            raise LogTruncated(topic, offset, last.offset)
        if offset > last.offset + 1 > 0:
            strangers = self._strangers.setdefault(topic, deque(maxlen=STRANGERS_MAX))
            strangers.append(range(last.offset + 1, offset))
        if offset >= 0:
            self._last[topic] = LastRecord(offset + len(records) - 1, records[-1].key, records[-1].value)
            if topic in self._sent:
                self._sent[topic] = sent

    def _is_doubtful(self, topic: str) -> bool:
        """Whether the log may have lost our last record, and another owner have written since."""
        last = self._sent.get(topic)
        if last is None:
            return False
        connection = self._clients.connection(topic)
        is_the_same = connection is not None and connection is last.connection
        return not is_the_same or self._activity.was_interrupted_since(last.began_s)

    async def _is_replaced(self, topic: str, last: LastRecord) -> bool:
        """Whether another record has this one's offset; an empty offset (compaction, retention) proves nothing."""
        if last.offset < 0:
            return False
        found, _ = await self._until_answered(topic, partial(record_at, self._bootstrap, topic, last.offset))
        return found is not None and (found.key, found.value) != (last.key, last.value)

    async def _until_answered(self, topic: str, ask: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        """The broker's answer, and how many tries it took."""
        tries = 1
        while True:
            try:
                return await ask(), tries
            except KafkaError as error:
                if not can_be_retried(error):
                    raise
                log.warning("no answer about %s, trying again: %r", topic, error)
                await asyncio.sleep(RETRY_AFTER_S)
                tries += 1

    async def _send_once(self, topic: str, record: OutgoingRecord) -> int:
        key, value, headers = record
        return await self._clients.append(
            topic, lambda client: client.send(topic, value, key=key, partition=0, headers=list(headers))
        )

    async def _send_batch(self, topic: str, records: Sequence[OutgoingRecord], packed: list[BatchBuilder]) -> int:
        """One try: a batch can be sent once, so the first one takes what is packed, and each later one packs again."""
        batch = packed.pop() if packed else self._packed(records)[0]
        return await self._clients.append(topic, lambda client: client.send_batch(batch, topic, partition=0))

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap, self._about),
            max_request_size=SENT_BYTES_MAX,
            max_batch_size=BATCH_BYTES_MAX,
            acks="all",
            linger_ms=0,
            enable_idempotence=True,
        )
        await producer.start()
        return producer

    def _packed(self, records: Sequence[OutgoingRecord]) -> tuple[BatchBuilder, int]:
        """A batch of the first records, and how many it holds."""
        batch = self._clients.any_started().create_batch()
        for count, (key, value, headers) in enumerate(records):
            if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                return batch, count
        return batch, len(records)


def can_be_retried(error: KafkaError) -> bool:
    """Whether the broker may accept the same record later: it is unavailable or busy, or its topic is to be mended.

    Our records are below the size that a topic must take, so one that is too large shows a topic that is set up wrongly.
    """
    return bool(error.retriable) or isinstance(
        error, KafkaConnectionError | KafkaTimeoutError | MessageSizeTooLargeError
    )
