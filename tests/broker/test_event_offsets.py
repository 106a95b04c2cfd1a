"""From where an event log is read on after an event: nothing after it is left out, however far back that is."""

import itertools
import os
import random

import pytest

from broker import event_records
from broker.event_records import offset_after, pack, record_or_none
from broker.producer import AckedProducer, OutgoingRecord
from broker.reader import read_all
from broker.topics import create_topics
from exchange.engine.log.journal import EncodedEvent
from schemas.topics import events_topic
from schemas.wire import GENESIS_HASH, RULES_VERSION, chain_hash, encode
from tests.conftest import Broker

EVENTS = 200
_numbers = itertools.count(1)


def written(count: int) -> list[bytes]:
    """Records of one to three events, chained from the beginning."""
    dice, records, chain, seq = random.Random(5), [], GENESIS_HASH, 0  # noqa: S311 - the same log on every run
    while seq < count:
        before, part = chain, []
        for _ in range(min(dice.randint(1, 3), count - seq)):
            seq += 1
            chain = chain_hash(chain, b'"x"')
            part.append(EncodedEvent(seq, seq, b'"x"', chain, RULES_VERSION))
        records += [encode(record) for record in pack("TEA-PERP", 1, before, part)]
    return records


async def a_log(broker: Broker, values: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic of its own that holds these records; it stands for the market's log."""
    name = f"O{os.getpid()}X{next(_numbers)}-PERP"
    await create_topics(broker.bootstrap, [name])
    monkeypatch.setattr(event_records, "events_topic", lambda _: events_topic(name))
    producer = AckedProducer(broker.bootstrap)
    await producer.start()
    await producer.send_together(events_topic(name), [OutgoingRecord(b"", value) for value in values])
    await producer.stop()


async def events_from(broker: Broker, offset: int) -> set[int]:
    """The sequences that a reader from this offset on gets."""
    topic = event_records.events_topic("TEA-PERP")
    found = await read_all(broker.bootstrap, topic)
    records = [record_or_none(each.value, "TEA-PERP") for each in found if each.offset >= offset]
    return {seq for one in records if one for seq in range(one.first_event_seq, one.last_event_seq + 1)}


@pytest.mark.parametrize("near", [4_096, 8], ids=["near", "far"])
async def test_every_event_after_it_is_read(broker: Broker, monkeypatch: pytest.MonkeyPatch, near: int) -> None:
    """Beside records of others, and where an owner that was frozen has written old events again."""
    ours = written(EVENTS)
    values = [value for at, each in enumerate(ours) for value in ([b"foreign", each] if at % 9 == 4 else [each])]
    values = [*values[:90], *ours[40:44], *values[90:]]
    await a_log(broker, values, monkeypatch)
    monkeypatch.setattr(event_records, "EXACT_WITHIN", near)
    monkeypatch.setattr(event_records, "LOOKED_FURTHER", 12)
    for seq in (0, 1, 50, 120, EVENTS - 1, EVENTS):
        offset = await offset_after(broker.bootstrap, "TEA-PERP", seq)
        assert await events_from(broker, offset) >= set(range(seq + 1, EVENTS + 1))


async def test_what_others_wrote_at_the_end_is_read_too(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody worked: it belongs among the dead letters."""
    ours = written(10)
    await a_log(broker, [b"early", *ours, b"late", b"later"], monkeypatch)
    assert await offset_after(broker.bootstrap, "TEA-PERP", 10) == 1 + len(ours)
    assert await offset_after(broker.bootstrap, "TEA-PERP", 11) == 0  # the log has lost its end: all of it


async def test_an_empty_log_is_read_from_its_start(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new market, or a new broker."""
    await a_log(broker, [], monkeypatch)
    assert await offset_after(broker.bootstrap, "TEA-PERP", 7) == 0
