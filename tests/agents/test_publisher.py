"""The public fill stream: every trade once by its sequence, whichever process dies, in the same bytes as from PostgreSQL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.fills.app import publisher_unit
from agents.fills.end_of_topic import end_without_hole
from agents.fills.record_stream import RecordsMissing
from agents.fills.worker import Publisher
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.rebuild import rebuild
from agents.relay import Relay
from agents.worker.host import Unit
from broker.producer import AckedProducer, OutgoingRecord
from broker.reader import read_all
from broker.topics import cluster_id
from schemas.fills import PublicFill, decode_fill, encode_fill, fill_headers
from schemas.topics import fills_topic
from schemas.wire import encode
from store.queries.market_data.public_fills import newest_public_fill, read_public_fills
from tests.agents.fill_reader import kept_by_sequence
from tests.agents.stream import Stream, hosted, stream_on
from tests.agents.test_projector import Delivered, append, matched
from tests.conftest import Broker
from tests.eventually import eventually

PARTS = (Relay, engine_unit, projection_unit)


def parts(stream: Stream, *kinds: Callable[..., Unit]) -> list[Unit]:
    """These workers for the market of a stream."""
    return [kind(stream.market, stream.settings) for kind in kinds]


async def stored(stream: Stream) -> list[PublicFill]:
    """Every fill of the market, as PostgreSQL has them."""
    return await read_public_fills(stream.session, stream.market, 1, 100_000)


async def published(stream: Stream) -> list[Any]:
    """Every record of the market's public fill stream."""
    return await read_all(stream.settings.bootstrap, fills_topic(stream.market))


async def taken(stream: Stream) -> list[bytes]:
    """What a consumer from the first fill on keeps of the stream."""
    kept = kept_by_sequence(record.value for record in await published(stream))
    assert list(kept) == list(range(1, len(kept) + 1))
    return list(kept.values())


async def everything_is_published(stream: Stream, records: int = 0) -> list[PublicFill]:
    """Wait until the stream ends with the last fill, and has at least that many records; each fill is in it, as it is stored."""
    await stream.drained()
    fills = await stored(stream)

    async def is_there() -> bool:
        values = [record.value for record in await published(stream)]
        return len(values) >= records and values[-1:] == [encode_fill(fill) for fill in fills[-1:]]

    await eventually(is_there)
    assert await taken(stream) == [encode_fill(fill) for fill in fills]
    assert [fill.sequence for fill in fills] == list(range(1, len(fills) + 1))
    return fills


async def send_fills(stream: Stream, fills: list[PublicFill]) -> None:
    """Write records into the stream, as a publisher would."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    records = [OutgoingRecord(stream.market.encode(), encode_fill(fill), fill_headers(fill)) for fill in fills]
    await producer.send_together(fills_topic(stream.market), records)
    await producer.stop()


async def test_each_trade_is_one_record_with_its_sequence_and_no_user(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """Key, headers and body of a record; the body has two order ids and no user, and equals what the tables give."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*parts(stream, *PARTS, publisher_unit)):
            await stream.trade(120)
            fills = await everything_is_published(stream)
        records = await published(stream)
        assert len(records) == len(fills) == await stream.session.fetchval("SELECT count(*) / 2 FROM fills")
        for record, fill in zip(records, fills, strict=True):
            assert record.key == stream.market.encode()
            assert list(record.headers) == fill_headers(fill)
            assert b"user" not in record.value


async def test_a_publisher_killed_before_its_commit_continues_where_the_stream_ends(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """kill -9 twice in the middle of a flow: the next owner reads the log again, and repeats no published fill."""
    async with stream_on(broker, database, tmp_path) as stream, hosted(*parts(stream, *PARTS)):
        for _ in range(2):
            publisher = stream.spawn("publisher")
            before = len(await published(stream))
            await stream.trade(150)
            await eventually(lambda before=before: _has_more_than(stream, before))
            publisher.kill()
            publisher.wait()
        async with hosted(*parts(stream, publisher_unit)):
            await stream.trade(50)
            await everything_is_published(stream)


async def test_two_publishers_at_once_say_the_same_twice(broker: Broker, database: str, tmp_path: Path) -> None:
    """A thawed owner sends the fills it was about to send: after newer ones, with the same bytes as those already there."""
    async with stream_on(broker, database, tmp_path) as stream, hosted(*parts(stream, *PARTS)):
        await stream.trade(60)
        await stream.drained()
        zombie = Publisher(stream.market, stream.settings)
        records = await stream.records()
        await zombie.take(Delivered(records[0]))
        said = len(await published(stream))
        zombie.fills.last = 0  # frozen before it had sent anything
        async with hosted(*parts(stream, publisher_unit)):
            await stream.trade(60)
            fills = await everything_is_published(stream)
            for record in await stream.records():
                await zombie.take(Delivered(record))
            assert len(await published(stream)) == 2 * len(fills) >= 2 * said
            assert await taken(stream) == [encode_fill(fill) for fill in fills]
            await stream.trade(60)
            await everything_is_published(stream, records=2 * len(fills))
        await zombie.disconnect()


async def test_a_stream_that_lost_its_tail_is_repaired(broker: Broker, database: str, tmp_path: Path) -> None:
    """The broker forgot fills that it had acknowledged, and the owner noticed by writing after the hole: all come again."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*parts(stream, *PARTS)):
            await stream.trade(80)
            await stream.drained()
        fills = await stored(stream)
        await send_fills(stream, [*fills[:5], fills[8]])
        async with hosted(*parts(stream, publisher_unit)):
            await eventually(lambda: _has_more_than(stream, len(fills)))
        kept = [decode_fill(record.value).sequence for record in await published(stream)]
        assert kept == [1, 2, 3, 4, 5, 9, *range(6, len(fills) + 1)]


async def test_what_the_event_log_has_forgotten_comes_out_of_postgresql(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path
) -> None:
    """The whole broker is lost: its successor's stream carries every fill again, under the same sequence, in the same bytes."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*parts(stream, *PARTS, publisher_unit)):
            await stream.trade(100)
            before = await everything_is_published(stream)
        await stream.move_to(empty_broker)
        await rebuild(stream.settings, [stream.market], await cluster_id(stream.settings.bootstrap))
        async with hosted(*parts(stream, *PARTS, publisher_unit)):
            await stream.barrier()
            assert await everything_is_published(stream) == before  # although nobody has traded since
            await stream.trade(100)
            after = await everything_is_published(stream)
        assert after[: len(before)] == before
        assert len(after) > len(before)


async def test_a_new_broker_starts_with_the_newest_fills(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long history is not sent again: the stream starts a fixed number of fills before the last, without a hole."""
    monkeypatch.setattr("agents.fills.record_stream.AGAIN_ON_A_NEW_BROKER", 7)
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*parts(stream, *PARTS)):
            await stream.trade(100)
            await stream.drained()
        newest = await newest_public_fill(stream.session, stream.market)
        async with hosted(*parts(stream, publisher_unit)):
            await eventually(lambda: _has_more_than(stream, 6))
        kept = [decode_fill(record.value).sequence for record in await published(stream)]
        assert kept == list(range(newest - 6, newest + 1))


async def test_a_publisher_ahead_of_the_projection_waits_and_leaves_no_hole(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fill that is neither in the log nor persisted is waited for; one that never comes stops the publisher."""
    monkeypatch.setattr("agents.fills.record_stream.PERSISTED_WITHIN_S", 0.5)
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(60)
        records = await matched(stream)
        await append(stream, records)
        last = Delivered([record for record in records if b"trade.executed" in encode(record)][-1])
        publisher = Publisher(stream.market, stream.settings)
        with pytest.raises(RecordsMissing):
            await publisher.take(last)
        assert not last.is_acknowledged
        async with hosted(*parts(stream, projection_unit)):
            await stream.drained()
        await publisher.take(last)
        assert last.is_acknowledged
        assert await taken(stream) == [encode_fill(fill) for fill in await stored(stream)]
        await publisher.disconnect()


def test_a_stream_ends_where_it_first_has_a_hole() -> None:
    """Repetitions are skipped, a hole is not."""
    assert end_without_hole(iter([])) is None
    assert end_without_hole(iter([4, 5, 6])) == 6
    assert end_without_hole(iter([4, 5, 3, 4, 6])) == 6
    assert end_without_hole(iter([4, 5, 8])) == 5
    assert end_without_hole(iter([4, 5, 8, 6, 7, 8])) == 8


async def _has_more_than(stream: Stream, count: int) -> bool:
    return len(await published(stream)) > count
