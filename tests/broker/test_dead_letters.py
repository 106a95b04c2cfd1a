"""Reading the newest dead letters without reading the whole topic."""

import pytest

from broker import dead_letters
from broker.dead_letters import StoredLetter, dead_letter_of_record, read_newest_dead_letters, send_to_dlq
from broker.producer import AckedProducer
from broker.topics import create_topics
from broker.unreadable import Unreadable, UnreadableRecord
from schemas.topics import commands_topic
from tests.conftest import Broker

SIZE = 1_000


@pytest.mark.parametrize(
    ("name", "limit", "places"),
    [("NEWEST_MAX", 4, range(176, 180)), ("NEWEST_BYTES", 10 * SIZE, range(116, 180))],
)
async def test_only_the_newest_letters_are_read(
    empty_broker: Broker, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, places: range
) -> None:
    """Up to a number, or to the step of 64 that has enough bytes; each once, at its place in the topic."""
    monkeypatch.setattr(dead_letters, name, limit)
    await create_topics(empty_broker.bootstrap, ["BTC-PERP"])
    producer, topic = AckedProducer(empty_broker.bootstrap), commands_topic("BTC-PERP")
    fault = UnreadableRecord(Unreadable.MALFORMED, "bad")
    for place in range(180):
        await send_to_dlq(producer, dead_letter_of_record("BTC-PERP", topic, min(place, 178), b"x" * SIZE, fault))
    await producer.stop()
    found: list[StoredLetter] = await read_newest_dead_letters(empty_broker.bootstrap)
    assert [stored.place for stored in found] == list(places)[:-1]  # the last two are one letter, written twice
    assert [stored.letter.offset for stored in found] == [stored.place for stored in found]
