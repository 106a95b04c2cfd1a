"""The dead-letter topic: records that a worker could not read or apply, unchanged, with the reason."""

from typing import Any, NamedTuple

import msgspec

from broker.producer import SENT_BYTES_MAX, AckedProducer
from broker.reader import read_all, read_back
from broker.unreadable import UnreadableRecord
from schemas.ids import public_command_id
from schemas.orders import EndReason
from schemas.topics import DEAD_LETTERS

VALUE_BYTES_MAX = SENT_BYTES_MAX - 16 * 1024  # room for key and headers
DETAIL_CHARACTERS_MAX = 500
NEWEST_MAX, NEWEST_BYTES = 1_000, 8 * 1024 * 1024
"""What a look at the newest letters reads: so many, or so much of them; the last step back may pass it."""


class Failure(NamedTuple):
    """A user's command that broke the engine, and what the engine raised."""

    seq: int
    body: msgspec.Raw
    error: Exception


class DeadLetter(msgspec.Struct, frozen=True):
    """One dead letter. Two with the same `id` are the same one: it may be written twice after a crash.

    For a command that was undone, `reason` is INTERNAL, `seq` its sequence and `detail` the class of the exception.
    Otherwise `reason` is why the record at `offset` of `topic` is not one of the market's log. `size_bytes` is the full
    length: a value too large for a record is truncated.
    """

    id: str
    market: str
    reason: str
    detail: str
    seq: int | None
    offset: int | None
    size_bytes: int
    value: bytes
    topic: str | None = None

    @property
    def is_command(self) -> bool:
        """Whether it is a command that was answered by `command.failed`."""
        return self.seq is not None


def dead_letter_of_record(
    market: str, topic: str, offset: int, value: bytes | None, fault: UnreadableRecord
) -> DeadLetter:
    """The letter for a record that takes no sequence."""
    value = value or b""
    return DeadLetter(f"{topic}@{offset}", market, fault.reason, fault.detail, None, offset, len(value), value, topic)


def dead_letter_of_failure(market: str, failure: Failure) -> DeadLetter:
    """The letter for a command that was undone."""
    value, raised = bytes(failure.body), type(failure.error)
    name = f"{raised.__module__}.{raised.__qualname__}"
    place = public_command_id(market, failure.seq)
    return DeadLetter(place, market, EndReason.INTERNAL, name, failure.seq, None, len(value), value)


class StoredLetter(NamedTuple):
    """A letter at its place in the topic; places rise with time."""

    place: int
    letter: DeadLetter


async def send_to_dlq(producer: AckedProducer, dead_letter: DeadLetter) -> None:
    """Append a letter to the topic and wait for the broker; the first one connects the producer."""
    fields = {
        "market": dead_letter.market,
        "reason": dead_letter.reason,
        "exception" if dead_letter.is_command else "detail": dead_letter.detail[:DETAIL_CHARACTERS_MAX],
        "seq": dead_letter.seq,
        "topic": dead_letter.topic,
        "offset": dead_letter.offset,
        "bytes": dead_letter.size_bytes,
    }
    headers = [(name, str(value).encode()) for name, value in fields.items() if value is not None]
    await producer.start()
    await producer.send(DEAD_LETTERS, dead_letter.value[:VALUE_BYTES_MAX], dead_letter.id.encode(), headers)


async def read_dead_letters(bootstrap: str) -> list[DeadLetter]:
    """Every dead letter, oldest first, each once; records that are not ours are skipped."""
    return [stored.letter for stored in _once_each(await read_all(bootstrap, DEAD_LETTERS))]


async def read_newest_dead_letters(bootstrap: str) -> list[StoredLetter]:
    """The newest letters, oldest first, each once: NEWEST_MAX of them, or fewer that are large."""
    records = await read_back(bootstrap, DEAD_LETTERS, _is_enough)
    return _once_each(records[-NEWEST_MAX:])


def _is_enough(records: list[Any]) -> bool:
    return len(records) >= NEWEST_MAX or sum(len(record.value or b"") for record in records) >= NEWEST_BYTES


def _once_each(records: list[Any]) -> list[StoredLetter]:
    found: dict[str, StoredLetter] = {}
    for record in records:
        dead_letter = _dead_letter(record)
        if dead_letter is not None:
            found.setdefault(dead_letter.id, StoredLetter(record.offset, dead_letter))
    return list(found.values())


def _dead_letter(record: Any) -> DeadLetter | None:
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    try:
        return DeadLetter(
            id=record.key.decode(),
            market=headers["market"],
            reason=headers["reason"],
            detail=headers.get("exception", headers.get("detail", "")),
            seq=_number(headers.get("seq")),
            offset=_number(headers.get("offset")),
            size_bytes=int(headers["bytes"]),
            value=record.value or b"",
            topic=headers.get("topic"),
        )
    except (KeyError, ValueError, AttributeError):
        return None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
