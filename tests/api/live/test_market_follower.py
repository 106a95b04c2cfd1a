"""The reader of an event log on a real broker: each event once and in order, whatever is in the log and whichever process fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.projection.app import projection_unit
from agents.relay import Relay
from api.database import Database
from api.live.followers import LINGERS_S, Followers
from api.live.market_follower import EventBatch, MarketFollower
from broker.producer import AckedProducer
from broker.topics import admin_client
from exchange.market_data.book_levels import BookLevels
from schemas.events import Event
from schemas.orders import Side
from schemas.topics import events_topic
from schemas.wire import EventRecord, encode
from store.projection import Projection
from store.projection.errors import EventGap
from store.queries.market_data.live_market import read_resting_orders
from store.session.connect import StoreUnavailable, connect_reader_pool, connect_writer
from tests.agents.stream import Stream, hosted, stream_on
from tests.agents.test_projector import append, matched
from tests.api.exchange import now
from tests.conftest import Broker
from tests.eventually import eventually


@dataclass(eq=False)
class Listening:
    """Keeps what it receives; `begun_at` is where it began."""

    begun_at: int = 0
    events: list[Event] = field(default_factory=list)
    batches: list[EventBatch] = field(default_factory=list)
    interruptions: int = 0

    def receive(self, batch: EventBatch) -> None:
        """The next events."""
        self.batches.append(batch)
        self.events += batch.events

    def interrupted(self) -> None:
        """The log has lost some."""
        self.interruptions += 1

    @property
    def sequences(self) -> list[int]:
        """The sequences of what came."""
        return [event.seq for event in self.events]


@asynccontextmanager
async def followed(stream: Stream, bootstrap: str = "") -> AsyncIterator[tuple[MarketFollower, Listening]]:
    """A follower of the market that has begun, and a listener from its beginning on."""
    database = Database(await connect_reader_pool(stream.settings.dsn, "api"))
    follower = MarketFollower(stream.market, database, bootstrap or stream.settings.bootstrap, now)
    await follower.begin()
    listening = Listening(follower.position.event_seq)
    follower.listen(listening)
    try:
        yield follower, listening
    finally:
        await follower.close()
        database.close()


async def received(listening: Listening, last: int, first: int = 1) -> None:
    """Wait until the event `last` has come; every one from `first` on has come once and in order."""
    await eventually(lambda: bool(listening.events) and listening.events[-1].seq >= last)
    assert listening.sequences == list(range(first, last + 1))


async def persist(stream: Stream, records: list[EventRecord]) -> None:
    """Let the tables have these records."""
    projection = Projection(lambda: connect_writer(stream.settings.dsn, "test projection"), stream.market)
    await projection.apply(records)
    await projection.close()


async def test_events_arrive_once_and_in_order_while_engines_change(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """An engine is killed in the middle of trading and another one recovers; the follower notices nothing."""
    async with stream_on(broker, database, tmp_path) as stream, followed(stream) as (follower, listening):
        async with hosted(Relay([stream.market], stream.settings), projection_unit(stream.market, stream.settings)):
            for _ in range(2):
                engine = stream.spawn("engine")
                await stream.trade(60)
                await eventually(lambda: len(listening.events) > 10)
                engine.kill()
                await stream.trade(60)
            stream.spawn("engine")
            last = (await stream.drained()).event_seq
            await received(listening, last)
        assert follower.position.event_seq == last
        assert {batch.ends_command for batch in listening.batches} == {True}


async def test_what_a_zombie_and_strangers_write_is_passed(broker: Broker, database: str, tmp_path: Path) -> None:
    """Old records once more, records that are no records, and ours of another market or of an epoch that is not."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(30)
        records = await matched(stream)
        foreign = [b"", b"{}", b"\xff", encode(msgspec.structs.replace(records[20], market="OTHER-PERP"))]
        foreign.append(encode(msgspec.structs.replace(records[20], epoch=7)))
        async with followed(stream) as (_, listening):
            await append(stream, records[:20])
            await write(stream, foreign)
            await append(stream, records[5:15])
            await append(stream, records[20:])
            await append(stream, records[:3])
            await received(listening, records[-1].last_event_seq)
            assert not listening.interruptions


async def test_a_hole_that_the_log_heals_further_on_is_passed(broker: Broker, database: str, tmp_path: Path) -> None:
    """The log lost its tail, the engine noticed by writing after the hole, and wrote everything again."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(12)
        records = await matched(stream)
        async with followed(stream) as (_, listening):
            await append(stream, [*records[:4], records[8]])
            await received(listening, records[3].last_event_seq)
            await append(stream, records[4:])
            await received(listening, records[-1].last_event_seq)


async def test_what_only_the_tables_have_interrupts_the_listeners(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The log has lost events for good that are persisted: the follower goes on after them, and says so."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(12)
        records = await matched(stream)
        async with followed(stream) as (follower, listening):
            await append(stream, records[:4])
            await received(listening, records[3].last_event_seq)
            await persist(stream, records[:8])
            await append(stream, records[8:])
            await eventually(lambda: listening.interruptions)
            last = records[-1].last_event_seq
            await eventually(lambda: follower.position.event_seq == last)
            assert listening.interruptions == 1


async def test_after_a_rebuild_the_next_epoch_is_followed(broker: Broker, database: str, tmp_path: Path) -> None:
    """The records of the new epoch continue the same sequences; the epoch in the tables says that they are ours."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(12)
        records = await matched(stream)
        async with followed(stream) as (_, listening):
            await append(stream, records[:6])
            await received(listening, records[5].last_event_seq)
            await stream.session.execute("UPDATE markets SET epoch = 2 WHERE name = $1", stream.market)
            await append(stream, [msgspec.structs.replace(each, epoch=2) for each in records[4:]])
            await received(listening, records[-1].last_event_seq)


async def test_events_of_another_history_are_never_passed_on(broker: Broker, database: str, tmp_path: Path) -> None:
    """A record that does not continue the chain stops the follower, until what continues it is there."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(6)
        records = await matched(stream)
        altered = bytes(records[3].events[0]).replace(b'"at":1', b'"at":2')
        wrong = msgspec.structs.replace(records[3], events=[msgspec.Raw(altered), *records[3].events[1:]])
        async with followed(stream) as (_, listening):
            await append(stream, [*records[:3], wrong])
            await eventually(lambda: listening.interruptions)
            assert listening.sequences == list(range(1, records[2].last_event_seq + 1))


async def test_who_begins_from_the_tables_misses_nothing(broker: Broker, database: str, tmp_path: Path) -> None:
    """From rows older than what is kept in memory, from newer ones, and from rows ahead of the follower: book and events agree."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(40)
        records = await matched(stream)
        async with followed(stream) as (follower, listening):
            await append(stream, records)
            await received(listening, records[-1].last_event_seq)
            whole = levels_after(listening.events)
            for count in (10, 25, len(records)):
                await persist(stream, records[:count])
                stored = await read_resting_orders(stream.session, stream.market)
                assert stored is not None
                events = await follower.events_since(stored.progress)
                assert [event.seq for event in events] == list(
                    range(records[count - 1].last_event_seq + 1, records[-1].last_event_seq + 1)
                )
                book = BookLevels(stored.resting(0, len(stored.rows)))
                for event in events:
                    book.apply(event)
                assert lots(book) == lots(whole)
        async with followed(stream) as (follower, _):
            assert await follower.events_since(follower.position) == []


async def test_events_that_are_no_longer_kept_are_read_from_the_log(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables lag by more than what is kept in memory."""
    monkeypatch.setattr("api.live.market_follower.KEPT_EVENTS", 8)
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(40)
        records = await matched(stream)
        async with followed(stream) as (follower, listening):
            start = follower.position
            await append(stream, records)
            await received(listening, records[-1].last_event_seq)
            events = await follower.events_since(start)
            assert [event.seq for event in events] == listening.sequences
            await cut_beginning(stream, 20)
            with pytest.raises(EventGap):
                await follower.events_since(start)


async def test_a_market_is_followed_once_and_a_minute_longer(broker: Broker, database: str, tmp_path: Path) -> None:
    """However many ask for it; nothing is read before the first, and nothing a minute after the last."""
    async with stream_on(broker, database, tmp_path) as stream, followers_on(stream) as (followers, later):
        many = await asyncio.gather(*(followers.acquire(stream.market) for _ in range(50)))
        assert len(set(map(id, many))) == 1
        for follower in many[1:]:
            followers.release(follower)
        assert not later.calls
        followers.release(many[0])
        (first,) = later.calls
        assert first.after_s == LINGERS_S
        assert await followers.acquire(stream.market) is many[0]
        assert first.is_cancelled
        followers.release(many[0])
        later.calls[-1].call()
        assert await followers.acquire(stream.market) is not many[0]
        with pytest.raises(KeyError):
            await followers.acquire("DOGE-PERP")


async def test_nobody_begins_while_the_database_is_down(broker: Broker, database: str, tmp_path: Path) -> None:
    """And the next one tries again."""
    async with (
        stream_on(broker, database, tmp_path) as stream,
        followers_on(stream, dsn="postgresql://127.0.0.1:9/x") as (
            followers,
            _,
        ),
    ):
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await followers.acquire(stream.market)


@dataclass
class Call:
    """A call that is to come."""

    after_s: float
    call: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Do not call."""
        self.is_cancelled = True


@dataclass
class Later:
    """A clock that the test moves."""

    calls: list[Call] = field(default_factory=list)

    def __call__(self, after_s: float, call: Callable[[], None]) -> Call:
        """Note the call."""
        self.calls.append(Call(after_s, call))
        return self.calls[-1]


@asynccontextmanager
async def followers_on(stream: Stream, bootstrap: str = "", dsn: str = "") -> AsyncIterator[tuple[Followers, Later]]:
    """The followers of a process, whose clock stands still."""
    database, later = Database(await connect_reader_pool(dsn or stream.settings.dsn, "api")), Later()
    followers = Followers(database, bootstrap or stream.settings.bootstrap, now, later)
    try:
        yield followers, later
    finally:
        await followers.close()
        database.close()


async def write(stream: Stream, values: list[bytes]) -> None:
    """Write anything into the event log."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    for value in values:
        await producer.send(events_topic(stream.market), value, key=b"")
    await producer.stop()


async def cut_beginning(stream: Stream, offset: int) -> None:
    """Let the log forget the records before this offset, as its retention does."""
    partition = TopicPartition(events_topic(stream.market), 0)
    async with admin_client(stream.settings.bootstrap) as client:
        await client.delete_records({partition: RecordsToDelete(before_offset=offset)})


def levels_after(events: list[Event]) -> BookLevels:
    """The levels that these events lead to."""
    levels = BookLevels()
    for event in events:
        levels.apply(event)
    return levels


def lots(levels: BookLevels) -> dict[Side, dict[int, int]]:
    """The lots at each price."""
    return {side: dict(levels.sides[side].lots) for side in Side}
