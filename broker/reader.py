"""Reading a one-partition topic without a consumer group: from its start, or backwards from its end in growing steps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.kept_readers import reading

FIRST_STEP = 64
STEP_GROWTH = 4
STALLED_AFTER_S = 30.0
PROBED = 16
T = TypeVar("T")


class LastRecord(NamedTuple):
    """The record at the end of a log, as it was read or written."""

    offset: int
    key: bytes | None
    value: bytes | None


NO_RECORD = LastRecord(-1, None, None)
"""The end of an empty log: before its first offset."""


def last_of(records: Sequence[Any]) -> LastRecord:
    """The last of these records, as aiokafka gives them."""
    return LastRecord(records[-1].offset, records[-1].key, records[-1].value) if records else NO_RECORD


def unnoticed() -> None:
    """The default progress callback: does nothing."""


async def stream_records(bootstrap: str, topic: str) -> AsyncIterator[Any]:
    """The records of a topic from the first to its current end, as aiokafka gives them, a few in memory at a time."""
    partition = TopicPartition(topic, 0)
    async with reading(bootstrap, partition) as reader:
        first, stop = await _first_offset(reader, partition), await end_offset(reader, partition)
        reader.seek(partition, first)
        while first < stop and await reader.position(partition) < stop:
            async with asyncio.timeout(STALLED_AFTER_S):
                records = await _next_records(reader, partition)
            for record in records:
                if record.offset < stop:
                    yield record


async def read_back(
    bootstrap: str,
    topic: str,
    is_enough: Callable[[list[Any]], bool],
    step: int = FIRST_STEP,
    on_fetched: Callable[[], None] = unnoticed,
) -> list[Any]:
    """The last records of a topic, as aiokafka gives them, oldest first: read back in steps until `is_enough`.

    If they are never enough, all records. The steps are `step`, then four times that, …
    `on_fetched` is called after each fetch.
    """
    partition = TopicPartition(topic, 0)
    async with reading(bootstrap, partition) as reader:
        first, stop = await _first_offset(reader, partition), await end_offset(reader, partition)
        records: list[Any] = []
        while stop > first and not (records and is_enough(records)):
            start = max(first, stop - step)
            records = await _read(reader, partition, start, stop, on_fetched) + records
            stop, step = start, step * STEP_GROWTH
        return records


async def offset_before(bootstrap: str, topic: str, is_before: Callable[[Any], bool], step: int) -> int:
    """An offset before every record that is not `is_before`, found by a look at a few records only, further and further back.

    It may lie too far back, and it trusts that the records are in order. The first look is `step` records back.
    """
    partition = TopicPartition(topic, 0)
    async with reading(bootstrap, partition) as reader:
        first, stop = await _first_offset(reader, partition), await end_offset(reader, partition)
        start = stop - step
        while start > first:
            records = await _read(reader, partition, start, min(stop, start + PROBED))
            if any(is_before(record) for record in records):
                return start
            step *= STEP_GROWTH
            start = stop - step
        return first


async def record_at(bootstrap: str, topic: str, offset: int) -> Any | None:
    """The record at an offset; None when that offset is empty, or beyond the topic's end."""
    return next(iter(await records_between(bootstrap, topic, offset, offset + 1)), None)


async def records_between(bootstrap: str, topic: str, first: int, stop: int) -> list[Any]:
    """The records at offsets from `first` up to, not including, `stop`, as far as the topic holds them."""
    partition = TopicPartition(topic, 0)
    async with reading(bootstrap, partition) as reader:
        end = await end_offset(reader, partition)
        return await _read(reader, partition, first, min(stop, end))


async def last_record(bootstrap: str, topic: str) -> bytes | None:
    """The newest record of a topic; None when it is empty."""
    records = await read_back(bootstrap, topic, lambda _: True, step=1)
    return records[-1].value if records else None


async def last_readable(bootstrap: str, topic: str, read: Callable[[bytes | None], T | None]) -> T | None:
    """The newest record that `read` can decode; None when there is none. Records that are not ours are skipped."""
    records = await read_back(bootstrap, topic, lambda found: read(found[0].value) is not None, step=1)
    return next((found for record in reversed(records) if (found := read(record.value)) is not None), None)


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Every record of a topic as the consumer gives it, with key and headers."""
    partition = TopicPartition(topic, 0)
    async with reading(bootstrap, partition) as reader:
        first, stop = await _first_offset(reader, partition), await end_offset(reader, partition)
        return await _read(reader, partition, first, stop)


async def end_offset(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """The offset that the next record of a partition gets."""
    return int((await consumer.end_offsets([partition]))[partition])


async def _first_offset(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    return int((await consumer.beginning_offsets([partition]))[partition])


async def _read(
    reader: AIOKafkaConsumer,
    partition: TopicPartition,
    start: int,
    stop: int,
    on_fetched: Callable[[], None] = unnoticed,
) -> list[Any]:
    """The records at offsets from `start` up to, not including, `stop`; TimeoutError when none come for 30 s."""
    found: list[Any] = []
    reader.seek(partition, start)
    while await reader.position(partition) < stop:
        async with asyncio.timeout(STALLED_AFTER_S):
            records = await _next_records(reader, partition)
        on_fetched()
        found += [record for record in records if start <= record.offset < stop]
    return found


async def _next_records(reader: AIOKafkaConsumer, partition: TopicPartition) -> list[Any]:
    """The records that come next; none where the log holds only the mark of a transaction, which no consumer gets."""
    before = await reader.position(partition)
    while True:
        fetched = await reader.getmany(partition, timeout_ms=200)
        if fetched:
            return list(fetched[partition])
        if await reader.position(partition) > before:
            return []
