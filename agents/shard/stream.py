"""The Faust agent of one market in the running app of its shard, and the log that feeds it."""

import asyncio
from typing import Any, cast

import faust
from faust.types import TP

from agents.shard.worker import MarketWorker
from agents.worker.fail_stop import fail_fast
from agents.worker.faust_app import raw_topic
from broker.shards.consumer import Reading, ShardConsumer


class MarketStream:
    """Adds an agent to the app, and reads its log; both go when the market leaves."""

    def __init__(self, app: faust.App, worker: MarketWorker) -> None:
        self._app = app
        self._worker = worker
        self._consumer = cast("ShardConsumer", app.consumer)
        self._reading: Reading | None = None
        self._agent: Any = None
        self._channel: Any = None

    async def start(self, offset: int) -> None:
        """Read from an offset on."""
        feed = self._worker.feed
        self._agent = self._declare(raw_topic(self._app, feed.topic), feed.agent)
        await self._agent.start()
        self._channel = await self._subscribed(feed.topic)
        conductor: Any = self._app.topics
        deliver = conductor._build_handler(TP(feed.topic, 0), {self._channel})
        self._reading = self._consumer.reading(feed.topic, offset, deliver)
        await self._consumer.read(self._reading)

    async def is_done(self) -> bool:
        """Whether the log is read to its end, and all of it acknowledged."""
        return self._reading is not None and await self._consumer.is_done(self._reading)

    async def leave(self) -> None:
        """Read no more, and drop what was read and not taken."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await self._consumer.leave(reading)
        if self._channel is not None:
            self._channel.queue.clear()

    async def stop(self) -> None:
        """Stop, in the middle of a record if need be."""
        await self.leave()
        if self._agent is not None:
            await self._agent.stop()
            self._app.agents.pop(self._agent.name, None)
            self._app.topics.beacon.discard(self._agent)
            self._agent.beacon.detach(self._app.agents.beacon)
        if self._channel is not None:
            self._app.topics.discard(self._channel)

    def _declare(self, topic: Any, name: str) -> Any:
        """As `app.agent` does, but for the note to a scan of modules: to find this one costs as much as all the rest."""
        conf: Any = self._app.conf
        agent = conf.Agent(self._take, name=name, app=self._app, channel=topic, help=self._take.__doc__)
        self._app.agents[agent.name] = agent
        self._app.topics.beacon.add(agent)
        return agent

    async def _take(self, stream: Any) -> None:
        """The work of the agent."""
        async for event in stream.noack().events():
            if self._reading is not None:
                self._reading.taken(event.message)
                await fail_fast(self._worker.take(event), self._worker.name)

    async def _subscribed(self, topic: str) -> Any:
        """The channel of the agent, which its stream registers when it runs first."""
        while True:
            for channel in self._app.topics:
                if topic in channel.topics:
                    return channel
            await asyncio.sleep(0)
