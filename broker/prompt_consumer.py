"""A Faust consumer that loses no time (faust-streaming 0.15.3): what is there is read in milliseconds, also after a recovery.

Stock loses a second and a half at every change of owner, and minutes when a broker has just come up.
"""

from collections.abc import Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from broker.refused_member import RefusalWatch

LOOK_EVERY_S = 0.02
FETCH_MAX_WAIT_MS = 200
METADATA_MAX_AGE_MS = 2_000
"""What an app's `consumer_metadata_max_age_ms` is to be.

A broker that has just come up may say that a topic does not exist. The leader of a group then gives its partitions to
nobody, and looks again when its metadata is too old: after five minutes, unless told otherwise.
"""


class PromptConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with a short fetch wait, which says why it is kept out of its group.

    A broker answers at once where there is something to read. But a fetch that waits at the end of the changelog, 1,500 ms
    with Faust, holds up the first fetch of commands after a recovery.
    """

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # read when the consumer starts, after this
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and watch what keeps it out of its group."""
        await super().on_start()
        RefusalWatch(self._ensure_consumer()._coordinator)

    async def seek_to_committed(self) -> Mapping[TP, Any]:
        """Go back to what is committed; to the beginning where nothing is, or where the log ends before it.

        Faust drops what has been fetched while its flow is stopped, and goes back. Stock goes back only where something is
        committed: an owner that died before its first commit had a successor that began after the dropped records. And a
        log that lost its end in a power cut is shorter than what was committed: stock drops every record until the log has
        grown past that place. Changelogs are the recovery's own matter.
        """
        committed: Mapping[TP, Any] = await super().seek_to_committed()
        ours = [tp for tp in committed if tp.topic not in self.consumer.app.tables.changelog_topics]
        ends = await self.call_thread(self._ensure_consumer().end_offsets, ours) if ours else {}
        restarted = [tp for tp in ours if not 0 < (committed[tp] or 0) <= ends[tp]]
        if restarted:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *restarted)
        return {**committed, **dict.fromkeys(restarted, None)}


class PromptConsumer(driver.Consumer):
    """Faust's consumer over the thread above. Stock sleeps for a second whenever all partitions rest: twice a recovery."""

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
