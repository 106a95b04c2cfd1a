"""The feed on a real database: who reports what, and what it leaves out."""

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest
import pytest_asyncio

import agents.worker.service
from agents.prices.feed import PriceFeed
from agents.prices.recorded import Recorded, parse_recording
from agents.prices.source import Observation
from schemas.commands import ReportPrice
from schemas.units import Nanos, Timestamp
from schemas.wire import decode_command
from store.markets.halts import halt
from store.session.connect import Session
from tests.agents.stream import hosted
from tests.eventually import eventually
from tests.store.account_builder import session_to


class Scripted:
    """A source that sees the prices a test gives it."""

    def __init__(self, name: str = "a", market: str = "BTC-PERP") -> None:
        self.name = name
        self.market = market
        self._queue: asyncio.Queue[Observation] = asyncio.Queue()
        self._told = 0

    def sees(self, *prices: int) -> None:
        """Prices, one after the other."""
        for price in prices:
            self._told += 1
            self._queue.put_nowait(Observation(Timestamp(self._told), Nanos(price)))

    async def prices(self) -> AsyncIterator[Observation]:
        """As they are given."""
        while True:
            yield await self._queue.get()


@pytest_asyncio.fixture(name="session")
async def session_of_test(database: str) -> AsyncIterator[Session]:
    """A session on a fresh database whose two markets are persisted up to their listing."""
    async with session_to(database) as session:
        await _persist_all(session)
        yield session


async def test_the_prices_of_all_sources_go_together(session: Session, database: str) -> None:
    """One round trip for any number of markets and sources: all carry one time."""
    sources = [Scripted(name, market) for market in ("BTC-PERP", "ETH-PERP") for name in ("a", "b", "c")]
    for source in sources:
        source.sees(7)
    async with hosted(PriceFeed(database, sources)):
        reports = await eventually(lambda: _reports(session, 6))
    assert {(market, report.source, report.price) for market, report in reports} == {
        (source.market, source.name, 7) for source in sources
    }
    assert len({report.at for _, report in reports}) == 1


async def test_only_the_newest_price_is_sent_while_the_last_is_not_persisted(session: Session, database: str) -> None:
    """The engine may be down for a day: one price of each source is under way, and then the one that is true."""
    source, other = Scripted(), Scripted("b")
    async with hosted(PriceFeed(database, [source, other])):
        source.sees(1)
        await eventually(lambda: _reports(session, 1))
        source.sees(*range(2, 500))
        other.sees(1)
        await eventually(lambda: _reports(session, 2))
        source.sees(500)
        await asyncio.sleep(0.7)  # a round for what must not come
        assert len(await _reports(session, 2)) == 2
        await _persist_all(session)
        reports = await eventually(lambda: _reports(session, 3))
    assert [(report.source, report.price) for _, report in reports] == [("a", 1), ("b", 1), ("a", 500)]


async def test_a_store_that_was_down_gets_only_the_newest_price(
    session: Session, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything seen in that time is dropped; the feed recovers automatically."""
    source = Scripted()
    async with hosted(PriceFeed(database, [source])):
        source.sees(1)
        await eventually(lambda: _reports(session, 1))
        monkeypatch.setattr(agents.worker.service, "connect_writer", _refuse)
        await _cut_off_feeds(session)
        source.sees(*range(2, 1_000))
        await asyncio.sleep(0.5)  # long enough for a few vain attempts
        assert len(await _reports(session, 0)) == 1
        monkeypatch.undo()
        reports = await eventually(lambda: _reports(session, 2))
        source.sees(1_000)
        await _persist_all(session)
        await eventually(lambda: _reports(session, 3))
    assert [report.price for _, report in reports] == [1, 999]


async def test_of_two_feeds_of_one_source_one_reports(session: Session, database: str) -> None:
    """By advisory lock, for each source alone; the second takes over when the first ends."""
    first, second, own = Scripted(), Scripted(), Scripted("b")
    async with hosted(PriceFeed(database, [second, own])):
        async with hosted(PriceFeed(database, [first])):
            for price in range(1, 6):
                first.sees(price)
                second.sees(price + 100)
                own.sees(price)
                await _persist_all(session)
                await asyncio.sleep(0.15)
            by_a = {report.price // 100 for _, report in await _reports(session, 0) if report.source == "a"}
            assert len(by_a) == 1
        first.sees(1_000)
        second.sees(1_001)
        await eventually(lambda: _is_reported(session, 1_001))
    assert any(report.source == "b" for _, report in await _reports(session, 0))
    assert not await _is_reported(session, 1_000)


async def test_a_market_that_the_exchange_has_halted_hears_nothing(session: Session, database: str) -> None:
    """Nobody works for it; the others continue."""
    await halt(session, "BTC-PERP", "for a test")
    here, there = Scripted(), Scripted(market="ETH-PERP")
    here.sees(1)
    there.sees(1)
    async with hosted(PriceFeed(database, [here, there])):
        [(market, _)] = await eventually(lambda: _reports(session, 1))
    assert market == "ETH-PERP"


async def test_a_recording_reaches_the_log_as_it_is(session: Session, database: str) -> None:
    """Prices and the times they were seen at, to the microsecond; the end of it ends nothing."""
    recording = list(parse_recording(f"{n * 200},{60_000 + n}.5" for n in range(6)))
    async with hosted(PriceFeed(database, [Recorded("rec", "BTC-PERP", recording)])):
        reports = await eventually(lambda: _persisting(session, 6))
    assert [report.price for _, report in reports] == [price for _, price in recording]
    began = reports[0][1].observed_at
    assert [report.observed_at - began for _, report in reports] == [offset * 1_000 for offset, _ in recording]
    assert all(report.at >= report.observed_at for _, report in reports)


async def test_a_source_that_is_wrong_ends_the_feed_loudly(database: str) -> None:
    """A bug of a plug-in is ours: the process stops, the supervisor starts it again."""

    class Wrong(Scripted):
        async def prices(self) -> AsyncIterator[Observation]:
            yield Observation(Timestamp(1), Nanos(1))
            raise LookupError("a bug")

    feed = PriceFeed(database, [Wrong(), Scripted("b")])
    async with hosted(feed):
        with pytest.RaisesGroup(LookupError):
            await asyncio.wait_for(feed.wait(), 5)


def test_the_numbers_of_locks_differ_by_market_and_source() -> None:
    """Two keys of an advisory lock are int4; our second one is a checksum of both names."""
    feed = PriceFeed("", [Scripted(name, market) for market in ("BTC-PERP", "ETH-PERP") for name in "abcdefgh"])
    numbers = {key.lock_number for key in feed._sources}
    assert len(numbers) == 16
    assert all(-(2**31) <= number < 2**31 for number in numbers)


async def _reports(session: Session, count: int) -> list[tuple[str, ReportPrice]]:
    """What was reported so far, oldest first, if it is that many."""
    rows = await session.fetch("SELECT name, payload FROM outbox JOIN markets USING (market_id) ORDER BY command_seq")
    commands = [(row["name"], decode_command(row["payload"])) for row in rows]
    reports = [(name, command) for name, command in commands if isinstance(command, ReportPrice)]
    return reports if len(reports) >= count else []


async def _is_reported(session: Session, price: int) -> bool:
    await _persist_all(session)
    return any(report.price == price for _, report in await _reports(session, 0))


async def _persisting(session: Session, count: int) -> list[tuple[str, ReportPrice]]:
    await _persist_all(session)
    return await _reports(session, count)


async def _persist_all(session: Session) -> None:
    await session.execute(
        "UPDATE progress p SET command_seq = c.command_seq FROM counters c WHERE p.market_id = c.market_id"
    )


async def _refuse(*_: object) -> NoReturn:
    raise ConnectionRefusedError


async def _cut_off_feeds(session: Session) -> None:
    await session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'prices' AND datname = current_database()"
    )
