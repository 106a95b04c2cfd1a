"""Fetches of the embedded broker (Tansu 0.6.0) that wait as long as it needs to find a record, and no longer.

It looks through a partition's batches one by one, 0.7 ms for a thousand of them, and answers with nothing at all when it
has not found the offset within the fetch's max_wait: a short wait reads a long log never, however often it asks. But at
the end of a log it notices a new record only at half of that wait, so that a long one is slow.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

FETCH_WAIT_MS_MIN = 20
FETCH_WAIT_MS_MAX = 1_280
EASY_PART = 4


class PatientFetch:
    """Fits the fetch wait of a started consumer (aiokafka 0.14.0, whose private names it uses), from the shortest on.

    The wait doubles when a partition that has more comes back with nothing, and halves when records came within a quarter
    of it.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._fetcher = consumer._fetcher
        self._fetch = self._fetcher._proc_fetch_request
        self._fetcher._fetch_max_wait_ms = FETCH_WAIT_MS_MIN
        self._fetcher._proc_fetch_request = self._fitted_fetch

    async def _fitted_fetch(self, assignment: Any, node_id: Any, request: Any) -> bool:
        wait_ms, began = self._fetcher._fetch_max_wait_ms, time.monotonic()
        has_records = bool(await self._fetch(assignment, node_id, request))
        took_ms = (time.monotonic() - began) * 1_000
        if any(self._is_left_out(assignment, *asked) for asked in _positions(request)):
            self._fetcher._fetch_max_wait_ms = min(wait_ms * 2, FETCH_WAIT_MS_MAX)
        elif has_records and took_ms * EASY_PART < wait_ms:
            self._fetcher._fetch_max_wait_ms = max(wait_ms // 2, FETCH_WAIT_MS_MIN)
        return has_records

    def _is_left_out(self, assignment: Any, partition: Any, offset: int) -> bool:
        """Whether the answer says that the partition goes on behind the offset, and brings nothing of it."""
        state = assignment.state_value(partition)
        if partition in self._fetcher._records or not (state and state.has_valid_position and state.position == offset):
            return False
        return state.highwater is not None and bool(state.highwater > offset)


@asynccontextmanager
async def patient_reader(**connection: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group whose fetches are patient: it reads from the first record on, unless sought elsewhere.

    `connection` is where the broker is, as aiokafka takes it. Raises KafkaConnectionError when it is away.
    """
    reader = AIOKafkaConsumer(**connection, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await reader.start()
        PatientFetch(reader)
        yield reader
    finally:
        await reader.stop()


def _positions(request: Any) -> list[tuple[TopicPartition, int]]:
    return [(TopicPartition(topic, number), offset) for topic, asked in request.topics for number, offset, _ in asked]
