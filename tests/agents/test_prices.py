"""The feed on a real database: who reports what, and what it leaves out."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from typing import NoReturn

import pytest
import pytest_asyncio
from msgspec.structs import astuple

import agents.worker.service
from agents.prices.feed import PriceFeed
from agents.prices.recorded import Recorded, parse_recording
from agents.prices.source import Observation
from schemas.commands import Command, ReportPrice, ReportPrices
from schemas.market import PriceSource
from schemas.units import Nanos, Timestamp, datetime_of
from schemas.wire import decode_command, encode
from store.markets.halts import halt
from store.session.checked_clock import machine_time
from store.session.connect import Session
from tests.agents.stream import hosted
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.store.roles import as_role, make_roles


class Scripted:
    """A source that sees the prices a test gives it."""

    def __init__(self, name: str = "a", market: str = "BTC-PERP") -> None:
        self.name = name
        self.market = market
        self._queue: asyncio.Queue[Observation] = asyncio.Queue()
        self._told = 0

    def sees(self, *prices: int, at: Timestamp | None = None) -> None:
        """Prices, one after the other; long ago, or at a time."""
        for price in prices:
            self._told += 1
            self._queue.put_nowait(Observation(at or Timestamp(self._told), Nanos(price)))

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


async def test_the_prices_of_a_market_go_in_one_command(session: Session, database: str) -> None:
    """And those of all markets in one round trip: all carry one time."""
    sources = [Scripted(name, market) for market in ("BTC-PERP", "ETH-PERP") for name in ("a", "b", "c")]
    for source in sources:
        source.sees(7)
    async with hosted(PriceFeed(database, sources)):
        reports = await eventually(lambda: _reports(session, 6))
    assert {(market, report.source, report.price) for market, report in reports} == {
        (source.market, source.name, 7) for source in sources
    }
    assert len({report.at for _, report in reports}) == 1
    assert await session.fetchval("SELECT count(*) FROM outbox") == 2 + 2  # the listings


async def test_a_feed_needs_no_more_than_its_role(session: Session, database: str) -> None:
    """It reads the sources, appends, and notes what it has reported; twice."""
    await make_roles(database)
    source = Scripted()
    async with hosted(PriceFeed(as_role(database, "clock"), [source])):
        for price in (1, 2):
            source.sees(price)
            await eventually(partial(_is_reported, session, price))


async def test_older_rules_get_a_command_for_each_price(session: Session, database: str) -> None:
    """An engine that does not know the new command may own the market until it has moved on."""
    await session.execute("UPDATE markets SET rules = 2 WHERE name = 'BTC-PERP'")
    sources = [Scripted("a"), Scripted("b")]
    for source in sources:
        source.sees(7)
    async with hosted(PriceFeed(database, sources)):
        await eventually(lambda: _reports(session, 2))
        for source in sources:
            source.sees(8)
        await eventually(lambda: _persisting(session, 4))
    types = [type(decode_command(row["payload"])) for row in await session.fetch("SELECT payload FROM outbox")]
    assert types.count(ReportPrice) == 4
    assert ReportPrices not in types


async def test_a_price_is_reported_when_it_differs_or_at_half_its_age(session: Session, database: str) -> None:
    """The second source is as quiet, but may be older; it goes along when the market is refreshed. The age is that of the index."""
    await _have_sources(session, a=1_000, b=600_000)
    first, second = Scripted("a"), Scripted("b")
    async with hosted(PriceFeed(database, [first, second])):
        for _ in range(60):
            first.sees(5, at=machine_time())
            second.sees(6, at=machine_time())
            await _persist_all(session)
            await asyncio.sleep(0.05)
        reports = await _reports(session, 0)
        seen = [report.observed_at for _, report in reports if report.source == "a"]
        assert len(seen) >= 3
        assert all(after - before >= 300_000 for before, after in pairwise(seen))  # at half the age the newest is sent
        commands = [command for _, command in await _commands(session)]
        assert len([command for command in commands if isinstance(command, ReportPrices)]) == len(seen)
        first.sees(7, at=machine_time())
        await eventually(lambda: _is_reported(session, 7))
    noted = await session.fetch("SELECT source, observed_at FROM price_reports ORDER BY source")
    newest = {report.source: datetime_of(report.observed_at) for _, report in await _reports(session, 0)}
    assert {row["source"]: row["observed_at"] for row in noted} == newest


async def test_a_source_that_sees_nothing_is_not_refreshed(session: Session, database: str) -> None:
    """What is refreshed is what it sees now: an old observation says nothing about the price of now."""
    await _have_sources(session, a=200)
    source = Scripted()
    async with hosted(PriceFeed(database, [source])):
        source.sees(5, at=machine_time())
        await eventually(lambda: _persisting(session, 1))
        await asyncio.sleep(0.5)  # twice its age
        assert len(await _persisting(session, 1)) == 1
        source.sees(5, at=machine_time())
        assert len(await eventually(lambda: _persisting(session, 2))) == 2


async def test_a_source_that_joins_the_index_is_reported_again(session: Session, database: str) -> None:
    """The index has ignored what it reported before."""
    source = Scripted()
    async with hosted(PriceFeed(database, [source])):
        source.sees(5)
        await eventually(lambda: _persisting(session, 1))
        await _have_sources(session, a=600_000)
        await eventually(lambda: _seeing(session, source, 5, 2))


async def test_only_the_newest_prices_are_sent_while_the_last_are_not_persisted(
    session: Session, database: str
) -> None:
    """The engine may be down for a day: one command of each market is under way, and then what is true."""
    source, other, elsewhere = Scripted(), Scripted("b"), Scripted("a", "ETH-PERP")
    async with hosted(PriceFeed(database, [source, other, elsewhere])):
        source.sees(1)
        await eventually(lambda: _reports(session, 1))
        source.sees(*range(2, 500))
        other.sees(1, 2)
        elsewhere.sees(1)
        await eventually(lambda: _reports(session, 2))
        source.sees(500)
        await asyncio.sleep(0.7)  # a round for what must not come
        assert len(await _reports(session, 2)) == 2
        await _persist_all(session)
        reports = await eventually(lambda: _reports(session, 4))
    assert [(market, report.source, report.price) for market, report in reports] == [
        ("BTC-PERP", "a", 1),
        ("ETH-PERP", "a", 1),
        ("BTC-PERP", "a", 500),
        ("BTC-PERP", "b", 2),
    ]


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
    recording = list(parse_recording(f"{2_000 + n * 200},{60_000 + n}.5" for n in range(6)))
    async with hosted(PriceFeed(database, [Recorded("rec", "BTC-PERP", recording)])):
        reports = await eventually(lambda: _persisting(session, 6))
    assert [report.price for _, report in reports] == [price for _, price in recording]
    began = reports[0][1].observed_at
    assert [report.observed_at - began for _, report in reports] == [
        offset * 1_000 - 2_000_000 for offset, _ in recording
    ]
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


async def _commands(session: Session) -> list[tuple[str, Command]]:
    """Every command so far with its market, in the order in which they were appended."""
    rows = await session.fetch(
        "SELECT name, payload FROM outbox JOIN markets USING (market_id) ORDER BY outbox.created_at, market_id, command_seq"
    )
    return [(row["name"], decode_command(row["payload"])) for row in rows]


async def _reports(session: Session, count: int) -> list[tuple[str, ReportPrice]]:
    """What was reported so far, oldest first, if it is that many; prices that went together one by one."""
    reports = [(name, report) for name, command in await _commands(session) for report in _singly(command)]
    return reports if len(reports) >= count else []


def _singly(command: Command) -> list[ReportPrice]:
    match command:
        case ReportPrice():
            return [command]
        case ReportPrices():
            return [ReportPrice(command.at, *astuple(price)) for price in command.prices]
    return []


async def _have_sources(session: Session, **ages_ms: int) -> None:
    sources = [PriceSource(name, 1, age) for name, age in ages_ms.items()]
    await session.execute("UPDATE markets SET price_sources = $1 WHERE name = 'BTC-PERP'", encode(sources).decode())


async def _seeing(session: Session, source: Scripted, price: int, count: int) -> list[tuple[str, ReportPrice]]:
    source.sees(price)
    return await _persisting(session, count)


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
