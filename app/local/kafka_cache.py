"""Builds the ahead-of-time class cache of Apache Kafka: a separate node records what it loads, and writes the cache when it ends."""

import asyncio
import fcntl
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import GroupCoordinatorNotAvailableError

from app.local.kafka import LocalKafka
from app.local.kafka_heap import DEFAULT_HEAP
from app.local.kafka_jars import fetch_jars
from app.local.kafka_jvm import cache_path
from broker.topics import create_topics
from schemas.topics import commands_topic

WRITTEN_WITHIN_S = 120.0
NICENESS = 10
RECORDS = 50


async def make_cache(heap: str = DEFAULT_HEAP) -> bool:
    """Make the cache if there is none; returns whether it exists. Takes about ten seconds of a core, at low priority.

    Caches for anything else (another Java, other jars, options or processor) are removed. Only one process makes it at a
    time; the others then find it. Raises FetchFailed and BrokerFailed.
    """
    jars = await fetch_jars()
    cache = cache_path(jars, heap)
    if cache.exists():
        return True
    with (jars / "cache.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not cache.exists():
            await _record(cache, heap)
            for other in set(jars.glob("kafka-*.aot")) - {cache}:
                other.unlink()
    return cache.exists()


async def _record(cache: Path, heap: str) -> None:
    with tempfile.TemporaryDirectory(prefix="perpetua-cache-", ignore_cleanup_errors=True) as folder:
        fresh = cache.with_suffix(f".{os.getpid()}")
        node = _RecordingKafka(Path(folder) / "kafka", heap=heap, options=(f"-XX:AOTCacheOutput={fresh}",))
        try:
            await _use(await node.start())
            await node.stop()
            if fresh.exists():
                fresh.replace(cache)
        finally:
            await node.kill()
            fresh.unlink(missing_ok=True)


async def _use(bootstrap: str) -> None:
    """Make the node load what an exchange uses: topics, an idempotent producer, a group."""
    await create_topics(bootstrap, ["BTC-PERP"])
    topic = commands_topic("BTC-PERP")
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for _ in range(RECORDS):
            await producer.send_and_wait(topic, b"recorded", partition=0)
    settings = {"group_id": "recording", "auto_offset_reset": "earliest"}
    with first_group_awaited():
        async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, **settings) as consumer:
            for _ in range(RECORDS):
                await consumer.getone()


@contextmanager
def first_group_awaited() -> Iterator[None]:
    """Leave out what the client logs as an error while it asks again for a coordinator: a new node has none before its first group."""
    coordination = logging.getLogger("aiokafka.consumer.group_coordinator")
    coordination.addFilter(_is_worth_a_line)
    try:
        yield
    finally:
        coordination.removeFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    facts = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(fact, GroupCoordinatorNotAvailableError) for fact in facts)


class _RecordingKafka(LocalKafka):
    """A node with low priority and a long stop timeout."""

    async def start(self) -> str:
        address = await super().start()
        if self.pid is not None:
            os.setpriority(os.PRIO_PGRP, self.pid, NICENESS)
        return address

    async def stop(self) -> None:
        if self._process:
            await self._process.end((signal.SIGTERM, WRITTEN_WITHIN_S))

    async def kill(self) -> None:
        """Kill it at once, with its children."""
        if self._process:
            await self._process.end()

    async def _format(self, jars: Path) -> str:
        recording, self._options = self._options, ()  # only the node is recorded
        try:
            return await super()._format(jars)
        finally:
            self._options = recording
