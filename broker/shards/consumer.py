"""The consumer of a shard's Faust app (faust-streaming 0.15.3): a member of the shard's group, and a reader of its markets' logs.

Faust's own consumer is one client for both. Each change of its topics and each member that comes or goes then stops all
partitions, and starts them again where the group has committed. Here the group decides only who owns the shard, and the
owner reads each log from an offset that it names. So markets come and go alone, and what is committed is a hint.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Any, NamedTuple

import faust
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from broker.address import METADATA_MAX_AGE_MS, client_settings
from broker.fetch_wakeups import FETCHER_SLEEPS_MS, miss_no_wakeup
from broker.refused_member import RefusalWatch
from broker.shards.group import SUBSCRIBED, SoleOwner, remove_member
from broker.shards.split_fetches import SplitFetches

STOP_TIMEOUT_S = 4.0  # longer than a host waits for its app: it ends the process first, where it can
FETCH_MAX_WAIT_MS = 200
IDLE_FETCH_MAX_WAIT_MS = 1_000
"""How long the broker holds a fetch when there is no record. A log that is added, or goes on, waits for the fetch under way."""
GATHER_A_LOG_S = 0.0001
"""After records have come, the next fetch waits this long for each log that is read: it costs client and broker as much, whatever it
brings.
"""
GATHER_MAX_S = 0.05
BUSY_LOGS = 10
"""With records in this many logs at once the wait is twice as long: where many markets trade, a fetch brings more of them."""
POLL_MS = 1_000
TRY_AGAIN_S = 1.0
COMMIT_WITHIN_S = 5.0
REMOVED_WITHIN_S = 5.0
JOINED_WITHIN_S = 2.0
"""How long the answer to a member may take beyond the time that the group gives its members to join.

Kafka (4.1) can leave the leader's decision unanswered when another member is removed at that moment. The client's default is
40 s, and as long it would be no standby.
"""
WAITING_RECORDS_MAX = 1_000
WAITING_BYTES_MAX = 4 * 2**20
RESUME_SHARE = 4
"""A log is paused when this many of its records, or bytes, wait for their agent, and goes on when a quarter still waits."""
RECORDS_A_TURN = 100
ENDS_FOR_S = 1.0

log = logging.getLogger(__name__)

Records = Mapping[TopicPartition, list[Any]]
Deliver = Callable[[Any], Awaitable[None]]


class Membership(NamedTuple):
    """What the group has decided: whether this member is the owner, and in which generation."""

    is_owner: bool
    generation: int


def gather_s(logs: int, with_records: int) -> float:
    """Seconds until the next fetch of this many logs, after one that has brought records of some."""
    return min(GATHER_MAX_S, logs * GATHER_A_LOG_S * (1 + with_records / BUSY_LOGS))


class Reading:
    """One log being read, from one offset on.

    `next_offset` is of the next record to fetch. `waiting`: how many records wait for their agent.
    """

    def __init__(
        self,
        tp: TP,
        offset: int,
        deliver: Deliver,
        pause: Callable[["Reading"], None],
        resume: Callable[["Reading"], None],
    ) -> None:
        self.tp = tp
        self.next_offset = offset
        self.deliver = deliver
        self.is_paused = False
        self.waiting = 0
        self._pause = pause
        self._resume = resume
        self._bytes = 0

    def arrived(self, records: Iterable[Any]) -> None:
        """Count records that wait for their agent now; pause the log when there are many."""
        for record in records:
            self.waiting += 1
            self._bytes += len(record.value or b"")
        if not self.is_paused and (self.waiting > WAITING_RECORDS_MAX or self._bytes > WAITING_BYTES_MAX):
            self.is_paused = True
            self._pause(self)

    def taken(self, message: Any) -> None:
        """The agent has taken a record; the log goes on when few wait."""
        self.waiting -= 1
        self._bytes -= len(message.value or b"")
        if (
            self.is_paused
            and self.waiting <= WAITING_RECORDS_MAX // RESUME_SHARE
            and self._bytes <= WAITING_BYTES_MAX // RESUME_SHARE
        ):
            self.is_paused = False
            self._resume(self)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Reports what the group decides. While it decides, the owner works on: its events are the same bytes, written by any owner."""

    def __init__(self, thread: "ShardConsumerThread") -> None:
        self._thread = thread

    def on_partitions_revoked(self, _: Any) -> None:
        self._thread.rejoins()

    def on_partitions_assigned(self, _: Any) -> None:
        self._thread.has_joined()


class ShardConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread with both clients: heartbeats go on and records arrive while the main loop is busy."""

    consumer: "ShardConsumer"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._close_thread_loop_on_stop = True  # it is ours: mode would make a slower one
        self._sole_owner = SoleOwner()
        self._member: AIOKafkaConsumer | None = None
        self._readings: dict[TP, Reading] = {}
        self._paused: set[TP] = set()
        self._pumping: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._fetches: SplitFetches | None = None

    async def on_start(self) -> None:
        """Connect both clients; the member joins its group when the app subscribes."""
        transport: Any = self.consumer.transport
        connection = client_settings(transport.bootstrap) | {"client_id": self.app.conf.broker_client_id}
        self._consumer = AIOKafkaConsumer(
            **connection,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # a log that ends before our offset has lost its end, or is another one
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            consumer_timeout_ms=FETCHER_SLEEPS_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        await self._consumer.start()
        miss_no_wakeup(self._consumer)
        self._split_fetches(self._consumer._client)
        self._member = self._create_member(connection)
        await self._member.start()
        RefusalWatch(self._member._coordinator)
        self._pumping = asyncio.create_task(self._pump())

    def _create_member(self, connection: Mapping[str, Any]) -> AIOKafkaConsumer:
        conf = self.app.conf
        return AIOKafkaConsumer(
            **connection,
            group_id=conf.id,
            partition_assignment_strategy=[self._sole_owner],
            enable_auto_commit=False,
            session_timeout_ms=int(conf.broker_session_timeout * 1_000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1_000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1_000),
            request_timeout_ms=int((conf.broker_rebalance_timeout + JOINED_WITHIN_S) * 1_000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1_000),
            consumer_timeout_ms=FETCHER_SLEEPS_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )

    async def stop(self) -> None:
        """Stop, also when the thread has not begun yet: mode (0.7) would take it for one that was never started, and leave it."""
        if self._thread is not None and not self._started.is_set():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.thread_loop))
        await super().stop()

    async def on_thread_stop(self) -> None:
        """Leave the group; give the clients up when they do not stop in time, so that the thread ends.

        What is given up leaves its group by the session time-out.
        """
        self._is_stopping = True
        if self._pumping is not None:
            self._pumping.cancel()
        try:
            await asyncio.wait_for(self._stop_clients(), STOP_TIMEOUT_S)
        except TimeoutError:
            log.warning("the consumer stops without leaving its group")

    async def _stop_clients(self) -> None:
        if self._member is not None:
            await self._member.stop()
        await super().on_thread_stop()
        if self._fetches is not None:
            await self._fetches.close()

    async def subscribe(self, topics: Iterable[str]) -> None:  # noqa: ARG002 - Faust's names its topics
        """Join the group, once; the logs to be read are not its business."""
        if self._member is not None and not self._member.subscription():
            self.thread_loop.call_soon_threadsafe(self._member.subscribe, [SUBSCRIBED], None, _Listener(self))

    def rejoins(self) -> None:
        """The group is about to decide again."""
        self.parent_loop.call_soon_threadsafe(self.consumer.rejoins)

    def has_joined(self) -> None:
        """The group has decided."""
        coordinator: Any = self._joined._coordinator
        is_owner, generation = self._sole_owner.is_owner, coordinator.generation
        self._sole_owner.owns(generation if is_owner else 0)
        self.parent_loop.call_soon_threadsafe(self.consumer.has_joined, Membership(is_owner, generation))

    @property
    def member_id(self) -> str:
        """The id of the member; empty while it is in no group, or not connected yet."""
        coordinator: Any = self._member._coordinator if self._member is not None else None
        return str(coordinator.member_id) if coordinator is not None else ""

    def join_again(self) -> None:
        """Join the group now."""
        self.thread_loop.call_soon_threadsafe(self._joined._coordinator.request_rejoin)

    async def remove(self, member_id: str) -> bool:
        """Remove another member from the group."""
        removal = remove_member(self._joined._client, self.app.conf.id, member_id)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(removal, self.thread_loop))

    async def read(self, reading: Reading) -> None:
        """Read a log too."""
        await self._in_thread(self._read, reading)

    async def leave(self, reading: Reading) -> None:
        """Stop reading a log."""
        await self._in_thread(self._leave, reading)

    def pause(self, reading: Reading) -> None:
        """Fetch nothing of a log until it is resumed."""
        self.thread_loop.call_soon_threadsafe(self._pause, reading)

    def resume(self, reading: Reading) -> None:
        """Fetch a log again."""
        self.thread_loop.call_soon_threadsafe(self._resume, reading)

    async def hint(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets, for those who watch the group; raises KafkaError."""
        future = asyncio.run_coroutine_threadsafe(self._hint(offsets), self.thread_loop)
        await asyncio.wrap_future(future)

    async def end_offsets(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The offset that the next record of each log gets."""
        future = asyncio.run_coroutine_threadsafe(self._ensure_consumer().end_offsets(list(tps)), self.thread_loop)
        return {TP(*tp): offset for tp, offset in (await asyncio.wrap_future(future)).items()}

    @property
    def _joined(self) -> AIOKafkaConsumer:
        assert self._member is not None, "started before it joins"  # noqa: S101 - a bug of ours, not a user's doing
        return self._member

    async def _in_thread(self, work: Callable[[Reading], None], reading: Reading) -> None:
        async def run() -> None:
            work(reading)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self.thread_loop))

    def _read(self, reading: Reading) -> None:
        self._paused.discard(reading.tp)
        self._readings[reading.tp] = reading
        self._assign()

    def _leave(self, reading: Reading) -> None:
        if self._readings.get(reading.tp) is reading:
            self._paused.discard(reading.tp)
            del self._readings[reading.tp]
            self._assign()

    def _assign(self) -> None:
        """Read what is to be read: all at once, since a client takes whole assignments; each goes on where it was."""
        reader = self._ensure_consumer()
        if not self._readings:
            reader.unsubscribe()
            return
        reader.assign([TopicPartition(*tp) for tp in self._readings])
        for tp, reading in self._readings.items():
            reader.seek(TopicPartition(*tp), reading.next_offset)
        reader.pause(*(TopicPartition(*tp) for tp in self._paused))

    def _pause(self, reading: Reading) -> None:
        if self._readings.get(reading.tp) is reading:
            self._paused.add(reading.tp)
            self._ensure_consumer().pause(TopicPartition(*reading.tp))

    def _resume(self, reading: Reading) -> None:
        if self._readings.get(reading.tp) is reading:
            self._paused.discard(reading.tp)
            self._ensure_consumer().resume(TopicPartition(*reading.tp))

    async def _pump(self) -> None:
        """Fetch, forever; an owner that fetches no more ends its app."""
        try:
            await self._fetch_forever()
        except BaseException as error:
            if not self._is_stopping:
                await self.crash(error)
            raise

    async def _fetch_forever(self) -> None:
        """Hand over what arrives, forever. It is taken off the client at once: the client fetches no log while it holds another's records."""
        reader = self._ensure_consumer()
        while True:
            try:
                records = await self._fetch(reader)
            except KafkaError as error:
                log.warning("%s fetches again: %r", self.app.conf.id, error)
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            self._set_fetch_wait(is_idle=not records and not self._paused)
            for tp, found in records.items():
                reading = self._readings.get(TP(*tp))
                if reading is not None:
                    reading.next_offset = found[-1].offset + 1
                    self.parent_loop.call_soon_threadsafe(self.consumer.deliver, reading, found)

    def _split_fetches(self, client: Any) -> None:
        """Let fetches of a client gather records: a consumer of aiokafka sends the next one as soon as records are taken off it."""
        send = client.send
        self._fetches = fetches = SplitFetches(send, gather_s)

        async def send_apart(node_id: Any, request: Any, **more: Any) -> Any:
            if isinstance(request, FetchRequest):
                return await fetches.fetch(node_id, request)
            return await send(node_id, request, **more)

        client.send = send_apart

    def _set_fetch_wait(self, *, is_idle: bool) -> None:
        fetcher: Any = self._ensure_consumer()._fetcher
        fetcher._fetch_max_wait_ms = IDLE_FETCH_MAX_WAIT_MS if is_idle else FETCH_MAX_WAIT_MS

    async def _fetch(self, reader: AIOKafkaConsumer) -> Records:
        records: Records = await reader.getmany(timeout_ms=POLL_MS)
        return records

    async def _hint(self, offsets: Mapping[TP, int]) -> None:
        coordinator: Any = self._joined._coordinator  # the client itself commits only what it reads
        hints = {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        async with asyncio.timeout(COMMIT_WITHIN_S):
            await coordinator.commit_offsets(None, hints)


class ShardConsumer(driver.Consumer):
    """Delivers the records of each log to the agent of its market, in order; no log waits for another's agent."""

    _thread: ShardConsumerThread

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._prepare()

    def _prepare(self) -> None:
        """Nothing is read or known yet."""
        self.on_rejoin: Callable[[], None] = lambda: None
        self.on_membership: Callable[[Membership], None] = lambda _: None
        self._readings: dict[TP, Reading] = {}
        self._arrived: deque[tuple[Reading, list[Any]]] = deque()
        self._has_come = asyncio.Event()
        self._done: dict[TP, int] = {}
        self._hinted: dict[TP, int] = {}
        self._ends: Mapping[TP, int] = {}
        self._ends_at_s = -ENDS_FOR_S
        self._asking: asyncio.Task[None] | None = None

    def _new_consumer_thread(self) -> ShardConsumerThread:
        return ShardConsumerThread(self, loop=self.loop, beacon=self.beacon, thread_loop=uvloop.new_event_loop())

    def rejoins(self) -> None:
        """The group is about to decide again."""
        self.on_rejoin()

    def has_joined(self, membership: Membership) -> None:
        """The group has decided."""
        self.on_membership(membership)

    @property
    def member_id(self) -> str:
        """The id of this member in its group; empty while it has none."""
        return self._thread.member_id

    def join_again(self) -> None:
        """Join the group now, without waiting for the heartbeat that would report that it is about to decide."""
        self._thread.join_again()

    async def remove(self, member_id: str) -> bool:
        """Remove another member from the group; False if it was no longer in. Raises KafkaError, TimeoutError."""
        async with asyncio.timeout(REMOVED_WITHIN_S):
            return await self._thread.remove(member_id)

    def reading(self, topic: str, offset: int, deliver: Deliver) -> Reading:
        """A reading of a log from an offset on; from its start if the log ends before it."""
        return Reading(TP(topic, 0), offset, deliver, self._thread.pause, self._thread.resume)

    async def read(self, reading: Reading) -> None:
        """Deliver the records of a log; the first may arrive before this returns."""
        self._readings[reading.tp] = reading
        self._done[reading.tp] = reading.next_offset
        self._hinted.pop(reading.tp, None)
        await self._thread.read(reading)

    async def leave(self, reading: Reading) -> None:
        """Deliver no more records of a log."""
        if self._readings.get(reading.tp) is reading:
            del self._readings[reading.tp]
            self._done.pop(reading.tp, None)
            await self._thread.leave(reading)

    def deliver(self, reading: Reading, records: list[Any]) -> None:
        """Queue fetched records for their agent; those of an earlier reading of the same log are dropped."""
        if self._readings.get(reading.tp) is reading:
            reading.arrived(records)
            self._arrived.append((reading, records))
            self._has_come.set()

    async def _drain_messages(self, fetcher: Any) -> None:
        """Faust's fetcher runs this, forever."""
        delivered = 0
        while not fetcher.should_stop:
            await self._has_come.wait()
            self._has_come.clear()
            while self._arrived:
                reading, records = self._arrived.popleft()
                for record in records:
                    if self._readings.get(reading.tp) is not reading:
                        break
                    await reading.deliver(self._to_message(reading.tp, record))
                    delivered += 1
                    if delivered % RECORDS_A_TURN == 0:
                        await asyncio.sleep(0)

    def track_message(self, message: Any) -> None:
        """Nothing waits for a record to be acknowledged."""

    def ack(self, message: Any) -> bool:
        """A record, and every one before it, need not be read again."""
        message.acked = True
        if message.tp in self._readings:
            self._done[message.tp] = max(message.offset + 1, self._done.get(message.tp, 0))
        return True

    async def is_done(self, reading: Reading) -> bool:
        """Whether a log is acknowledged up to its end. The ends of all logs are asked for together, once a second at most."""
        if monotonic() >= self._ends_at_s + ENDS_FOR_S:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_ends())
            await asyncio.shield(self._asking)
        return self._done.get(reading.tp) == self._ends.get(reading.tp, -1)

    async def _ask_ends(self) -> None:
        try:
            self._ends = await self._thread.end_offsets(list(self._readings))
            self._ends_at_s = monotonic()
        finally:
            self._asking = None

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's
        """Commit what is acknowledged, as a hint: no owner starts there, but people and tools see how far this one is."""
        hints = {tp: offset for tp, offset in self._done.items() if offset != self._hinted.get(tp)}
        if not hints or await self.maybe_wait_for_commit_to_finish():
            return False
        self._commit_fut = self.loop.create_future()
        try:
            await self._thread.hint(hints)
        except (KafkaError, TimeoutError) as error:
            log.debug("%s commits later: %r", self.app.conf.id, error)
            return False
        finally:
            done, self._commit_fut = self._commit_fut, None
            done.set_result(None)
        self._hinted.update(hints)
        return True

    async def verify_all_partitions_active(self) -> None:
        """Faust's own watch of its consumer; the stall watchdog watches ours."""

    def on_buffer_full(self, tp: TP) -> None:
        """Faust's own limit; a reading has its own."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As above."""


class ShardTransport(driver.Transport):
    """Faust's transport over the consumer above."""

    Consumer = ShardConsumer
    bootstrap: str


def read_as_shard(app: faust.App, bootstrap: str) -> None:
    """Give an app the consumer above. Call it right after the app is made, before its topics and agents."""
    app.transport = ShardTransport(app.conf.broker_consumer, app)
    app.transport.bootstrap = bootstrap
