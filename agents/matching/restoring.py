"""Restoring the book table of one market from its changelog, before its owner reads a command."""

from collections.abc import Callable, MutableMapping

from broker.reader import stream_records
from schemas.topics import book_changelog_topic

RECORDS_A_STEP = 16


async def restore_table(
    bootstrap: str, market: str, entries: MutableMapping[bytes, bytes], on_step: Callable[[], None]
) -> None:
    """Fill the table with what its changelog holds now; `on_step` is called on the way. Raises KafkaError, TimeoutError."""
    entries.clear()
    on_step()
    count = 0
    async for record in stream_records(bootstrap, book_changelog_topic(market)):
        count += 1
        if count % RECORDS_A_STEP == 0:
            on_step()
        if record.key is None:
            continue
        if record.value is None:
            entries.pop(record.key, None)
        else:
            entries[record.key] = record.value
    on_step()
