"""The event log of a market, followed record by record for readers that keep no place at the broker."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from broker.address import METADATA_MAX_AGE_MS, client_settings
from broker.errors import BrokerUnavailable
from broker.event_records import LoggedRecord, offset_after, read_records, record_or_none
from broker.fetch_wakeups import FETCHER_SLEEPS_MS, miss_no_wakeup
from schemas.topics import events_topic
from schemas.units import MILLISECOND_US, Timestamp

FETCH_MAX_WAIT_MS = 500
"""How long the broker holds a fetch when there is no record; one that is written ends the wait at once."""
POLL_MS = 1_000
RECORDS_MAX = 64
OPENED_WITHIN_S = 5.0
ANSWERED_WITHIN_S = 1.5


class FollowedLog:
    """One connection that reads the log of a market. Every call may raise BrokerUnavailable; `open` again then."""

    def __init__(self, bootstrap: str, market: str) -> None:
        self._bootstrap = bootstrap
        self._market = market
        self._partition = TopicPartition(events_topic(market), 0)
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self, event_seq: int) -> None:
        """Read on from where the log holds every event after this one; older ones may come first."""
        await self.close()
        with _outages_as_unavailable(self._market):
            async with asyncio.timeout(OPENED_WITHIN_S):
                offset = await offset_after(self._bootstrap, self._market, event_seq)
                consumer = self._consumer = _new_consumer(self._bootstrap, self._market)
                await consumer.start()
                miss_no_wakeup(consumer)
                consumer.assign([self._partition])
                consumer.seek(self._partition, offset)

    async def next(self) -> list[LoggedRecord]:
        """The next records, as soon as there are any; none where a second brings none. Records that are not ours are passed.

        Raises NewerRecord for one that only newer code can read.
        """
        if self._consumer is None:
            raise BrokerUnavailable(self._market)
        with _outages_as_unavailable(self._market):
            fetched = await self._consumer.getmany(self._partition, timeout_ms=POLL_MS, max_records=RECORDS_MAX)
        found = ((record_or_none(each.value, self._market), each) for each in fetched.get(self._partition, ()))
        return [LoggedRecord(record, _logged_at(each)) for record, each in found if record is not None]

    async def read_from(self, event_seq: int) -> list[LoggedRecord]:
        """The records from the one that holds this event, or from the first there is, to the end of the log, read beside the others."""
        with _outages_as_unavailable(self._market):
            return await read_records(self._bootstrap, self._market, event_seq)

    async def check(self) -> None:
        """Ask the broker for a sign of life: while nothing comes, its silence cannot be told from an outage."""
        if self._consumer is None:
            raise BrokerUnavailable(self._market)
        with _outages_as_unavailable(self._market):
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                await self._consumer.end_offsets([self._partition])

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            # aiokafka (0.14.0) takes a cancellation that comes meanwhile for its own
            await asyncio.shield(consumer.stop())


def _logged_at(fetched: Any) -> Timestamp:
    return Timestamp(fetched.timestamp * MILLISECOND_US)


def _new_consumer(bootstrap: str, market: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_settings(bootstrap, f"live-{market}"),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # a log that ends before our offset has lost its end, or is another one
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        consumer_timeout_ms=FETCHER_SLEEPS_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )


@contextmanager
def _outages_as_unavailable(market: str) -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(market) from error
