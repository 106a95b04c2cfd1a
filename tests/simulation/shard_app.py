"""The place of Faust: an app whose agents feed the real workers from the exchange's own consumer, on the loop of its process.

The consumer (broker/shards/consumer.py), the stream of a market and the shard's unit (agents/shard) are the real ones; only
what they use of Faust and of aiokafka is a fake.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from agents.worker.settings import StreamSettings
from broker.shards.consumer import ShardConsumer, ShardConsumerThread

COMMIT_EVERY_S = 0.25
_CONF: dict[str, Any] = {
    "producer_partitioner": None,
    "stream_processing_timeout": 300.0,
    "broker_commit_livelock_soft_timeout": 300.0,
    "broker_rebalance_timeout": 5.0,
    "broker_max_poll_interval": 1_000.0,
}


class SimulatedApp:
    """In the place of a `faust.App`: one shard for one kind of work."""

    def __init__(self, app_id: str, settings: StreamSettings) -> None:
        self.conf = SimpleNamespace(
            id=app_id,
            broker_client_id=app_id,
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s,
            Agent=_Agent,
            **_CONF,
        )
        self.consumer_generation_id = 0
        self.flow_control = SimpleNamespace(resume=lambda: None)
        self.tables = SimpleNamespace(drop=lambda _: None)
        self.agents = _Agents()
        self.topics = _Conductor()
        self.should_stop = False
        self._fetcher = self
        self._tasks: list[asyncio.Task[None]] = []
        self._has_stopped = asyncio.Event()
        self.consumer = _Consumer(self)

    def finalize(self) -> None:
        """Nothing is collected from modules here."""

    def topic(self, name: str, **_: object) -> str:
        """A topic."""
        return name

    def Table(self, *_: object, **__: object) -> Any:  # noqa: N802 - Faust's name
        """The table of a market, empty until it is restored."""
        return SimpleNamespace(data=SimpleNamespace(data={}))

    async def maybe_start(self) -> None:
        """Connect, join the group, and let records come; called again when the fetcher must run."""
        if self._tasks:
            return
        self._tasks = [
            asyncio.create_task(self.consumer._drain_messages(self)),
            asyncio.create_task(self._commit_often()),
        ]
        await self.consumer.start_thread()

    async def wait_until_stopped(self) -> None:
        """Return when it has stopped or crashed."""
        await self._has_stopped.wait()

    async def stop(self) -> None:
        """Commit what is acknowledged, and leave the group."""
        await self.consumer.commit()
        self.crash()
        await self.consumer.stop_thread()

    def crash(self) -> None:
        """End without leaving the group."""
        self.should_stop = True
        for task in self._tasks:
            task.cancel()
        self._has_stopped.set()

    async def _commit_often(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self.consumer.commit()


class _Thread(ShardConsumerThread):
    """The consumer's thread, on the loop of its process: virtual time has one loop."""

    def __init__(self, consumer: "_Consumer") -> None:
        self.consumer = consumer
        self.app = consumer.app
        self.parent_loop = self.thread_loop = consumer.loop
        self.transport: Any = SimpleNamespace(bootstrap="")
        consumer.transport = self.transport
        self._consumer = None
        self.__post_init__()

    async def crash(self, _: BaseException) -> None:
        """The fetching has ended."""
        app: Any = self.app
        app.crash()


class _Consumer(ShardConsumer):
    """The consumer of a shard without Faust's services."""

    def __init__(self, app: SimulatedApp) -> None:
        self.app: Any = app
        self.loop = asyncio.get_running_loop()
        self._prepare()
        self._thread = _Thread(self)

    async def start_thread(self) -> None:
        """As the app's boot does: connect, then subscribe."""
        await self._thread.on_start()
        await self.subscribe([])

    async def stop_thread(self) -> None:
        """As the app's end does."""
        await self._thread.on_thread_stop()


class _Channel:
    """Where the records of a topic wait for their agent."""

    def __init__(self, topic: str) -> None:
        self.topics = (topic,)
        self.queue: deque[Any] = deque()
        self.has_come = asyncio.Event()


class _Agents(dict[str, Any]):
    """The agents of an app by name."""

    beacon = None


class _Conductor:
    """Which channels the app has."""

    def __init__(self) -> None:
        self.beacon = SimpleNamespace(add=lambda _: None, discard=lambda _: None)
        self._channels: dict[_Channel, None] = {}

    def __iter__(self) -> Iterator[_Channel]:
        """All of them."""
        return iter(self._channels)

    def add(self, channel: _Channel) -> None:
        """A stream has begun."""
        self._channels[channel] = None

    def discard(self, channel: _Channel) -> None:
        """The market has left."""
        self._channels.pop(channel, None)

    def _build_handler(self, _: TP, channels: set[_Channel]) -> Callable[[Any], Any]:
        (channel,) = channels

        async def deliver(message: Any) -> None:
            channel.queue.append(message)
            channel.has_come.set()

        return deliver


class _Agent:
    """Runs the function of an agent over the records of its channel, one after the other."""

    def __init__(self, fun: Callable[[Any], Any], *, name: str, app: SimulatedApp, channel: str, help: str) -> None:  # noqa: A002 - Faust's name
        del help
        self.name = name
        self.beacon = SimpleNamespace(detach=lambda _: None)
        self._fun = fun
        self._app = app
        self._channel = _Channel(channel)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run."""
        self._app.topics.add(self._channel)
        self._running = asyncio.create_task(self._fun(self))

    async def stop(self) -> None:
        """Stop, in the middle of a record if need be."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def noack(self) -> "_Agent":
        """Records are acknowledged by the agent."""
        return self

    async def events(self) -> AsyncIterator[Any]:
        """The records."""
        channel = self._channel
        while True:
            while channel.queue:
                yield _Event(channel.queue.popleft(), self._app.consumer)
            channel.has_come.clear()
            await channel.has_come.wait()


class _Event:
    """What Faust calls an event: a record, and its acknowledgement."""

    def __init__(self, message: Any, consumer: _Consumer) -> None:
        self.message = message
        self._consumer = consumer

    def ack(self) -> None:
        """The record is done with."""
        self._consumer.ack(self.message)
