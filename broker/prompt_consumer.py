"""A Faust consumer without delays (faust-streaming 0.15.3): it reads new records in milliseconds, also after a recovery.

Faust's own loses 1.5 s at every change of owner, and minutes when a broker has just started.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from broker.refused_member import RefusalWatch

LOOK_EVERY_S = 0.02
STOP_TIMEOUT_S = 4.0  # longer than a host waits for its app: it ends the process first, where it can
FETCH_MAX_WAIT_MS = 200
METADATA_MAX_AGE_MS = 2_000
"""The app setting `consumer_metadata_max_age_ms`.

A broker that has just started may answer that a topic does not exist. The leader of a group then assigns its partitions
to nobody, and checks again only when its metadata expires: by default after five minutes.
"""


log = logging.getLogger(__name__)


class PromptConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with a short fetch wait; it logs why it is kept out of its group.

    A broker answers at once when there is something to read. But a fetch that waits at the end of the changelog, 1,500 ms
    in Faust, delays the first fetch of commands after a recovery.
    """

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # read when the consumer starts, after this
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and watch for errors that keep it out of its group."""
        await super().on_start()
        RefusalWatch(self._ensure_consumer()._coordinator)

    async def on_thread_stop(self) -> None:
        """Stop the consumer; give it up when it does not stop in time, so that the thread ends.

        A consumer whose group just assigns its partitions asks the app about them. An app that is stopping never answers,
        and stock waits for it forever. What is given up leaves its group by the session time-out.
        """
        try:
            await asyncio.wait_for(super().on_thread_stop(), STOP_TIMEOUT_S)
        except TimeoutError:
            log.warning("the consumer stops without leaving its group")

    async def seek_to_committed(self) -> Mapping[TP, Any]:
        """Seek to the committed offset; to the start of the log if none is committed or the log ends before it.

        Faust drops the records fetched while its flow is stopped, and then seeks back. Its own method seeks back only if
        an offset is committed: the successor of an owner that died before its first commit started after the dropped
        records. And if a log lost its end in a power cut, Faust drops every record until the log has grown past the
        committed offset. The recovery handles changelogs.
        """
        committed: Mapping[TP, Any] = await super().seek_to_committed()
        ours = [tp for tp in committed if tp.topic not in self.consumer.app.tables.changelog_topics]
        ends = await self.call_thread(self._ensure_consumer().end_offsets, ours) if ours else {}
        restarted = [tp for tp in ours if not 0 < (committed[tp] or 0) <= ends[tp]]
        if restarted:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *restarted)
        return {**committed, **dict.fromkeys(restarted, None)}


class PromptConsumer(driver.Consumer):
    """Faust's consumer over the thread above. Faust sleeps 1 s whenever all partitions are paused: twice a recovery."""

    def _new_consumer_thread(self) -> PromptConsumerThread:
        return PromptConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, timeout_s: float) -> Any:
        while self.flow_active and not self.should_stop and not self._get_active_partitions():
            await self.sleep(LOOK_EVERY_S)
        return await super()._wait_next_records(timeout_s)


class PromptTransport(driver.Transport):
    """Faust's transport over the consumer above."""

    Consumer = PromptConsumer


def read_promptly(app: faust.App) -> None:
    """Give an app the consumer above. Call it right after the app is made, before its topics and agents."""
    app.transport = PromptTransport(app.conf.broker_consumer, app)
