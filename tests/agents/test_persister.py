"""The persister: the markets of a process share a session and a transaction; one that cannot go on holds up no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Raw

from agents.projection import persister as persisting
from agents.projection.persister import Persister, pause_after
from agents.projection.worker import RECORDS_WAITING_MAX, Projector
from broker.event_records import LoggedRecord
from schemas.units import Timestamp
from schemas.wire import EventRecord
from store.markets.halts import halt
from store.projection import EventGap
from tests.agents.stream import Stream, stream_on
from tests.agents.test_projector import Delivered, append, matched
from tests.conftest import Broker
from tests.eventually import eventually
from tests.store.held_rows import holding


@pytest_asyncio.fixture
async def streams(broker: Broker, database: str, tmp_path: Path) -> AsyncIterator[tuple[Stream, Stream]]:
    """Two markets in which the same accounts trade."""
    async with stream_on(broker, database, tmp_path) as one, stream_on(broker, database, tmp_path) as other:
        other.users = one.users
        for stream in (one, other):
            await stream.trade(30)
        yield one, other


@asynccontextmanager
async def projecting(
    persister: Persister, *streams: Stream
) -> AsyncIterator[list[tuple[Projector, asyncio.Task[None]]]]:
    """A projector of each market at work over one persister."""
    projectors = [Projector(stream.market, stream.settings, persister) for stream in streams]
    async with AsyncExitStack() as stack:
        for projector in projectors:
            stack.push_async_callback(projector.close)
        works = [asyncio.create_task(projector.work()) for projector in projectors]
        yield list(zip(projectors, works, strict=True))
        for work in works:
            work.cancel()
        await asyncio.wait(works)


async def deliveries(stream: Stream) -> list[Delivered]:
    """Every event record of the market, as the stream hands it over."""
    return [Delivered(record) for record in await matched(stream)]


async def are_acknowledged(*delivered: Delivered) -> None:
    """Wait until these records are."""
    await eventually(lambda: all(each.is_acknowledged for each in delivered))


async def hand_over(projector: Projector, delivered: list[Delivered]) -> None:
    """Let a projector take these records."""
    for each in delivered:
        await projector.take(each)


async def sessions_of(stream: Stream, persister: Persister) -> list[int]:
    """The sessions of a persister."""
    statement = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
    return [row[0] for row in await stream.session.fetch(statement, persister.name)]


async def test_the_markets_of_a_process_share_one_session(streams: tuple[Stream, Stream]) -> None:
    """Everything of both is persisted and acknowledged; when the last market leaves, the session ends."""
    persister = Persister(streams[0].settings)
    async with projecting(persister, *streams) as ((one, _), (other, _)):
        both = await deliveries(streams[0]), await deliveries(streams[1])
        await asyncio.gather(hand_over(one, both[0]), hand_over(other, both[1]))
        await are_acknowledged(*both[0], *both[1])
        assert [(await stream.progress()).command_seq for stream in streams] == [31, 31]
        assert len(await sessions_of(streams[0], persister)) == 1
    await eventually(lambda: no_session(streams[0], persister))


async def test_records_that_arrive_after_a_transaction_share_the_next(
    streams: tuple[Stream, Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One market's record waits for the other's: both are written by the same transaction. Nothing waits for the first."""
    monkeypatch.setattr("agents.projection.persister.PAUSE_MAX_S", 2.0)
    monkeypatch.setattr("agents.projection.persister.PAUSE_AN_EVENT_S", 2.0)
    persister = Persister(streams[0].settings)
    async with projecting(persister, *streams) as ((one, _), (other, _)):
        firsts, seconds = await deliveries(streams[0]), await deliveries(streams[1])
        await one.take(firsts[0])
        await other.take(seconds[0])
        await are_acknowledged(firsts[0], seconds[0])
        await one.take(firsts[1])
        await asyncio.sleep(0.1)
        await other.take(seconds[1])
        await are_acknowledged(firsts[1], seconds[1])
        names = [stream.market for stream in streams]
        statement = "SELECT DISTINCT p.xmin FROM progress p JOIN markets USING (market_id) WHERE name = ANY($1)"
        assert len(await streams[0].session.fetch(statement, names)) == 1


@pytest.mark.parametrize(("events", "pause_s"), [(10, 0.0015), (100, 0.015), (200, 0.02), (499, 0.02), (500, 0.0)])
def test_a_pause_grows_with_the_transaction_up_to_a_full_one(events: int, pause_s: float) -> None:
    """A single order delays the next by next to nothing; after a full transaction more are waiting already."""
    assert pause_after([[a_record(events - events // 2)], [a_record(events // 2)]]) == pytest.approx(pause_s)


def a_record(events: int) -> LoggedRecord:
    """A record of as many events."""
    record = EventRecord("M", 1, 1, 1, 1, events, "", "", 1, [Raw(b"{}")] * events)
    return LoggedRecord(record, Timestamp(0))


async def test_a_market_that_leaves_does_not_end_the_others(streams: tuple[Stream, Stream]) -> None:
    """Its topic is at fault, or it is handed over: the others go on over the same session."""
    persister = Persister(streams[0].settings)
    async with projecting(persister, *streams) as ((one, work), (other, _)):
        first = await deliveries(streams[0])
        await hand_over(one, first)
        await are_acknowledged(*first)
        session = await sessions_of(streams[0], persister)
        work.cancel()
        await asyncio.wait([work])
        await one.close()
        second = await deliveries(streams[1])
        await hand_over(other, second)
        await are_acknowledged(*second)
        assert await sessions_of(streams[0], persister) == session


async def test_a_gap_is_filled_while_the_other_market_goes_on(streams: tuple[Stream, Stream]) -> None:
    """What is missing is read back from the log; a gap after records that waited too, of which none was persisted."""
    persister = Persister(streams[0].settings)
    records = await matched(streams[0])
    await append(streams[0], records)
    async with projecting(persister, *streams) as ((one, _), (other, _)):
        gapped = [Delivered(record) for record in [*records[:3], *records[20:]]]
        second = await deliveries(streams[1])
        await asyncio.gather(hand_over(one, gapped), hand_over(other, second))
        await are_acknowledged(*gapped, *second)
        assert [(await stream.progress()).command_seq for stream in streams] == [31, 31]


async def test_a_gap_that_the_log_has_too_ends_its_market_alone(streams: tuple[Stream, Stream]) -> None:
    """The work on the market with the hole raises, which stops the process; nothing after the hole is acknowledged."""
    persister = Persister(streams[0].settings)
    records = await matched(streams[0])
    await append(streams[0], [*records[:2], records[-1]])
    async with projecting(persister, *streams) as ((one, work), (other, _)):
        last = Delivered(records[-1])
        await one.take(last)
        with pytest.raises(EventGap):
            await asyncio.wait_for(work, 30)
        second = await deliveries(streams[1])
        await hand_over(other, second)
        await are_acknowledged(*second)
        assert not last.is_acknowledged
        assert (await streams[0].progress()).command_seq == 2


@pytest.mark.parametrize("is_halted_first", [True, False])
async def test_a_halted_market_rests_and_takes_its_records_off_the_queue(
    streams: tuple[Stream, Stream], is_halted_first: bool
) -> None:
    """Halted before the process starts, or found halted with a new session: nothing of it is persisted or acknowledged.

    Its stream is read on: the records are dropped, so that those of other markets in the same consumer are not held up.
    """
    persister = Persister(streams[0].settings)
    async with projecting(persister, *streams) as ((one, _), (other, _)):
        firsts, seconds = await deliveries(streams[0]), await deliveries(streams[1])
        taken = 0
        if not is_halted_first:
            taken = 5
            await hand_over(one, firsts[:taken])
            await are_acknowledged(*firsts[:taken])
        await halt(streams[0].session, streams[0].market, "a test")
        for pid in await sessions_of(streams[0], persister):
            await streams[0].session.execute("SELECT pg_terminate_backend($1)", pid)
        before = (await streams[0].progress()).command_seq
        async with asyncio.timeout(60):
            for _ in range(2 + RECORDS_WAITING_MAX // len(firsts)):
                await hand_over(one, firsts[taken:])
            await hand_over(other, seconds)
            await are_acknowledged(*seconds)
        assert not any(each.is_acknowledged for each in firsts[taken:])
        assert (await streams[0].progress()).command_seq == before


async def test_a_session_that_ends_while_a_market_is_checked_holds_up_nothing(
    streams: tuple[Stream, Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The market is checked again for the session that began meanwhile, although no other record of it comes."""
    persister, may_end = Persister(streams[0].settings), asyncio.Event()
    check = persisting.check_log_is_known

    async def check_slowly(*asked: Any) -> None:
        await may_end.wait()
        await check(*asked)

    monkeypatch.setattr(persisting, "check_log_is_known", check_slowly)
    async with projecting(persister, streams[0]) as ((one, _),):
        records = await deliveries(streams[0])
        await hand_over(one, records)

        async def begun() -> list[int]:
            return await sessions_of(streams[0], persister)

        (first,) = await eventually(begun)
        await streams[0].session.execute("SELECT pg_terminate_backend($1)", first)

        async def begun_again() -> bool:
            persister.wake(one)
            return (await begun()) not in ([], [first])

        await eventually(begun_again)
        may_end.set()
        await are_acknowledged(*records)


@pytest.mark.parametrize("held", ["progress", "accounts"])
async def test_rows_that_a_frozen_process_holds_stop_their_market_alone(
    broker: Broker, database: str, tmp_path: Path, held: str
) -> None:
    """The other market goes on for as long as that takes; then the first one does, by itself."""
    async with stream_on(broker, database, tmp_path) as stuck, stream_on(broker, database, tmp_path) as free:
        for stream in (stuck, free):
            await stream.trade(30)
        firsts, seconds = await deliveries(stuck), await deliveries(free)
        rows = {
            "progress": (
                "SELECT 1 FROM progress JOIN markets USING (market_id) WHERE name = $1 FOR UPDATE",
                stuck.market,
            ),
            "accounts": ("SELECT 1 FROM accounts WHERE user_id = ANY($1) FOR UPDATE", stuck.users),
        }
        async with projecting(Persister(stuck.settings), stuck, free) as ((one, _), (other, _)):
            async with holding(database, *rows[held]):
                await hand_over(one, firsts)
                for few in (seconds[:10], seconds[10:20], seconds[20:]):
                    await hand_over(other, few)
                    await are_acknowledged(*few)
                assert not any(each.is_acknowledged for each in firsts)
                assert (await stuck.progress()).command_seq < (await free.progress()).command_seq == 31
            await are_acknowledged(*firsts)
        assert (await stuck.progress()).command_seq == 31


async def test_a_process_that_dies_after_the_commit_persists_nothing_twice(
    streams: tuple[Stream, Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed and not acknowledged, in both markets: the records come again, and are acknowledged without effect."""

    class Died(Exception):
        pass

    def die(_: object) -> None:
        raise Died

    delivered = await deliveries(streams[0]), await deliveries(streams[1])
    persister = Persister(streams[0].settings)
    with monkeypatch.context() as patched:
        patched.setattr("agents.projection.persister.passing", die)
        async with projecting(persister, *streams) as ((one, work), (other, other_work)):
            await asyncio.gather(hand_over(one, delivered[0]), hand_over(other, delivered[1]))
            ended, _ = await asyncio.wait([work, other_work], timeout=30)
            assert len(ended) == 2  # what stops the transaction stops every market
            for each in ended:
                with pytest.raises(Died):
                    each.result()
    committed = await rows(streams[0])
    assert committed[0] > 0
    assert not any(each.is_acknowledged for each in (*delivered[0], *delivered[1]))
    async with projecting(Persister(streams[0].settings), *streams) as ((one, _), (other, _)):
        await asyncio.gather(hand_over(one, delivered[0]), hand_over(other, delivered[1]))
        await are_acknowledged(*delivered[0], *delivered[1])
    assert [(await stream.progress()).command_seq for stream in streams] == [31, 31]
    assert (await rows(streams[0]))[0] >= committed[0]


async def no_session(stream: Stream, persister: Persister) -> bool:
    """Whether the persister has left the database."""
    return not await sessions_of(stream, persister)


async def rows(stream: Stream) -> tuple[int, int]:
    """How many fills and ledger entries there are; the audit of the streams proves that none is double."""
    row = await stream.session.fetchrow("SELECT (SELECT count(*) FROM fills), (SELECT count(*) FROM ledger)")
    return row[0], row[1]
