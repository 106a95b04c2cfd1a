"""A market without enough fresh prices closes itself and opens itself: real engine, real projection, and both kinds of time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
import pytest_asyncio

from agents.clock import Clock
from agents.matching.app import engine_unit
from agents.prices.feed import PriceFeed
from agents.prices.random_walk import RandomWalk
from agents.prices.recorded import as_commands, parse_recording
from agents.projection.app import projection_unit
from agents.relay import Relay
from schemas.commands import AdvanceClock, Command, ReportPrice, SetPriceSources, SetStatus
from schemas.events import Event, MarkMoved, PriceIgnored, StatusChanged
from schemas.market import MarketStatus, PriceSource
from schemas.units import Nanos, Timestamp
from schemas.wire import decode_event
from tests.agents.stream import BEGAN_AT, Stream, hosted, stream_on
from tests.agents.timeline import play, ticks
from tests.conftest import Broker
from tests.eventually import eventually

USDC = 10**9  # nanos
ABC = tuple(PriceSource(name, weight=1, max_age_ms=3_000) for name in "abc")


@pytest_asyncio.fixture(name="stream")
async def stream_of_test(broker: Broker, database: str, tmp_path: Path) -> AsyncIterator[Stream]:
    """A market with everything but a clock and a feed."""
    async with stream_on(broker, database, tmp_path) as stream, _worked(stream):
        yield stream


@asynccontextmanager
async def _worked(stream: Stream) -> AsyncIterator[None]:
    async with hosted(*(part(stream.market, stream.settings) for part in (engine_unit, projection_unit, Relay))):
        yield


def at(second: float) -> Timestamp:
    """A time of the market's own."""
    return Timestamp(BEGAN_AT + int(second * 1_000_000))


def sees(source: str, second: float, price: int) -> ReportPrice:
    """A report of what a source has just seen, in whole USDC."""
    return ReportPrice(at(second), source, Nanos(price * USDC), at(second))


async def lives_through(stream: Stream, *commands: Command) -> tuple[str, int, int]:
    """Status, index (USDC) and mark (ticks) once these are persisted."""
    await play(stream.session, stream.market, commands)
    await stream.drained()
    row = await stream.session.fetchrow("SELECT status, index_price, mark FROM markets WHERE name = $1", stream.market)
    assert row is not None
    return row["status"], row["index_price"] // USDC, row["mark"]


async def test_a_market_below_its_quorum_closes_and_opens_by_itself(stream: Stream) -> None:
    """Two of three sources must be no older than 3 s. The mark freezes where it was; no operator does anything."""
    assert await lives_through(stream, SetPriceSources(at(1), ABC, quorum=2)) == ("CANCEL_ONLY", 60_000, 600_000)
    assert await lives_through(stream, sees("a", 2, 61_000)) == ("CANCEL_ONLY", 60_000, 600_000)
    assert await lives_through(stream, sees("b", 2, 61_000)) == ("ACTIVE", 61_000, 610_000)
    assert await lives_through(stream, sees("c", 3, 70_000)) == ("ACTIVE", 61_000, 610_000)
    assert await lives_through(stream, AdvanceClock(at(5))) == ("ACTIVE", 61_000, 610_000)
    assert await lives_through(stream, AdvanceClock(at(5.1))) == ("CANCEL_ONLY", 61_000, 610_000)
    assert await lives_through(stream, sees("a", 6, 62_000), sees("c", 6, 62_000)) == ("ACTIVE", 62_000, 620_000)


async def test_a_quorum_that_is_back_opens_nothing_that_an_operator_closed(stream: Stream) -> None:
    """And an operator opens nothing whose prices are missing."""
    await lives_through(stream, SetPriceSources(at(1), ABC, quorum=2), SetStatus(at(1), MarketStatus.HALTED))
    assert (await lives_through(stream, sees("a", 2, 60_000), sees("b", 2, 60_000)))[0] == "HALTED"
    assert (await lives_through(stream, AdvanceClock(at(9)), SetStatus(at(9), MarketStatus.ACTIVE)))[0] == "CANCEL_ONLY"
    assert (await lives_through(stream, sees("a", 10, 60_000), sees("b", 10, 60_000)))[0] == "ACTIVE"


async def test_a_recorded_hour_is_lived_through_in_a_moment_and_comes_out_the_same(
    broker: Broker, database: str, tmp_path: Path, stream: Stream
) -> None:
    """Three recordings and a clock, on two markets: event for event the same but for the market's name."""
    recordings = {
        name: list(
            parse_recording(f"{n * 5_000 + place * 700},{60_000 + (n * 37 + place) % 90}.{n % 10}" for n in range(720))
        )
        for place, name in enumerate("abc")
    }
    sources = tuple(msgspec.structs.replace(source, max_age_ms=8_000) for source in ABC)

    async def live(one: Stream) -> list[Event]:
        await play(
            one.session,
            one.market,
            [SetPriceSources(at(0), sources, 2)],
            *(as_commands(name, recording, at(0)) for name, recording in recordings.items()),
            ticks(BEGAN_AT, 3_600),
        )
        await one.drained()
        return [decode_event(body) for record in await one.records() for body in record.events][1:]

    async with stream_on(broker, database, tmp_path) as other, _worked(other):
        first, second = await live(stream), await live(other)
    assert first == second
    assert sum(isinstance(event, MarkMoved) for event in first) > 2_000
    assert [event.status for event in first if isinstance(event, StatusChanged)] == ["CANCEL_ONLY", "ACTIVE"]
    assert not any(isinstance(event, PriceIgnored) for event in first)


async def test_a_feed_that_dies_closes_its_market_and_one_that_comes_opens_it(stream: Stream, database: str) -> None:
    """On the clock of the wall, with the real clock: nobody but a feed comes and goes."""
    sources = tuple(PriceSource(name, weight=1, max_age_ms=1_500) for name in "ab")
    seeds = count(1)

    def feed() -> PriceFeed:
        seed = next(seeds)
        walks = [RandomWalk(name, stream.market, Nanos(60_000 * USDC), seed, every_ms=300) for name in "ab"]
        return PriceFeed(database, walks)

    async def status() -> str:
        return str(await stream.session.fetchval("SELECT status FROM markets WHERE name = $1", stream.market))

    async def is_status(wanted: str) -> bool:
        return await status() == wanted

    await lives_through(stream, SetPriceSources(at(1), sources, quorum=2))
    async with hosted(Clock(stream.settings)):
        async with hosted(feed(), feed()):
            await eventually(lambda: is_status("ACTIVE"))
        await eventually(lambda: is_status("CANCEL_ONLY"))
        async with hosted(feed()):
            await eventually(lambda: is_status("ACTIVE"))
            await asyncio.sleep(2)  # longer than a price may be old
            assert await status() == "ACTIVE"
    await stream.drained()
