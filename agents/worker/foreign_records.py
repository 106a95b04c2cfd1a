"""Passing a record that is not ours: it is counted, logged and kept among the dead letters, and the market continues."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import KafkaError

from agents.worker.metrics import DEAD_LETTERS, FOREIGN_RECORDS
from broker.dead_letters import DeadLetter, dead_letter_of_record, send_to_dlq
from broker.producer import AckedProducer
from broker.unreadable import Unreadable, UnreadableRecord

LETTER_WITHIN_S = 5.0

log = logging.getLogger(__name__)


class ForeignRecords:
    """What one worker passes of one topic. The records stay in the topic; a dead letter names the place of each."""

    def __init__(self, market: str, topic: str, producer: AckedProducer) -> None:
        self._market = market
        self._topic = topic
        self._producer = producer
        self._counted = FOREIGN_RECORDS.labels(market, topic)  # at 0 from the start: an alert sees the first one
        for reason in Unreadable:
            DEAD_LETTERS.labels(market, reason)

    async def set_aside(self, message: Any, fault: UnreadableRecord) -> None:
        """Count and log a record, and append it to the dead letters.

        A dead letter that cannot be written is only logged: the record itself is still in its topic.
        """
        letter = dead_letter_of_record(self._market, self._topic, message.offset, message.value, fault)
        report(letter)
        self._counted.inc()
        try:
            async with asyncio.timeout(LETTER_WITHIN_S):
                await send_to_dlq(self._producer, letter)
        except (TimeoutError, KafkaError) as error:
            log.error("%s could not be kept among the dead letters: %r", letter.id, error)

    async def set_all_aside(self, found: Iterable[tuple[Any, UnreadableRecord]]) -> None:
        """The same for several records."""
        for message, fault in found:
            await self.set_aside(message, fault)


def report(letter: DeadLetter) -> None:
    """Count a dead letter, and log why it is one."""
    known = {"market": letter.market, "sequence": letter.seq}
    log.error("%s goes to the dead letters: %s (%s)", letter.id, letter.reason, letter.detail, extra=known)
    DEAD_LETTERS.labels(letter.market, letter.reason).inc()
