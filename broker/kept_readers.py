"""Readers of one partition without a consumer group. A process that reads many topics keeps some of them connected.

Connecting one costs more than a short reading: two connections, and an exchange of versions over each.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.address import client_settings
from broker.fetch_wakeups import FETCHER_SLEEPS_MS, miss_no_wakeup

FETCH_MAX_WAIT_MS = 10
"""What is read is there. The last fetch of a reading finds nothing, and the next reading of a kept reader waits for its answer."""
WAITS_FOR_TURN_S = 2.0


class KeptReaders:
    """Connected readers of one broker that read nothing now, `count_max` of them at most."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._turns = asyncio.Semaphore(count_max)
        self._idle: list[AIOKafkaConsumer] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Few read at a time. Those that wait for logs that cannot be read do not hold up the others for long."""
        has_turn = False
        with suppress(TimeoutError):
            async with asyncio.timeout(WAITS_FOR_TURN_S):
                has_turn = await self._turns.acquire()
        try:
            yield
        finally:
            if has_turn:
                self._turns.release()

    def take(self) -> AIOKafkaConsumer | None:
        """One of them; None if there is none."""
        return self._idle.pop() if self._idle else None

    async def give_back(self, reader: AIOKafkaConsumer) -> None:
        """Keep a reader for another reading, if not enough are kept; it fetches nothing until then."""
        if len(self._idle) < self._count_max:
            reader.pause(*reader.assignment())
            self._idle.append(reader)
        else:
            await _stop(reader)

    async def close(self) -> None:
        """Disconnect all, also those that are given back later."""
        self._count_max = 0
        await asyncio.gather(*(reader.stop() for reader in self._idle))


_kept: dict[tuple[asyncio.AbstractEventLoop, str], KeptReaders] = {}


@asynccontextmanager
async def keeping_readers(bootstrap: str, count: int) -> AsyncIterator[None]:
    """Keep up to `count` readers of this broker connected as long as the block lasts; as many read at a time."""
    place = asyncio.get_running_loop(), bootstrap
    _kept[place] = kept = KeptReaders(count)
    try:
        yield
    finally:
        del _kept[place]
        await kept.close()


@asynccontextmanager
async def reading(bootstrap: str, partition: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of this partition: a kept one, or a new one. After an error it is not kept: its connection may be dead."""
    kept = _kept.get((asyncio.get_running_loop(), bootstrap))
    async with kept.turn() if kept else nullcontext():
        reader = (kept.take() if kept else None) or _new_reader(bootstrap, partition.topic)
        try:
            if not reader.assignment():
                await reader.start()
                miss_no_wakeup(reader)
                await asyncio.sleep(0)  # aiokafka 0.14.0: stopping a task that never ran lets out a CancelledError
            reader.assign([partition])
            yield reader
        except BaseException:
            await _stop(reader)
            raise
        await (kept.give_back(reader) if kept else _stop(reader))


async def _stop(reader: AIOKafkaConsumer) -> None:
    """Disconnect. aiokafka (0.14.0) takes a cancellation that comes meanwhile for its own, and goes on: the caller would, too."""
    await asyncio.shield(reader.stop())


def _new_reader(bootstrap: str, about: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_settings(bootstrap, about),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        consumer_timeout_ms=FETCHER_SLEEPS_MS,
    )
