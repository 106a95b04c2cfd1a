"""Bar 5: each command and each event delivered one to five times, out of order too, and no effect is doubled."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import asyncpg
import pytest
import pytest_asyncio

import store.projection.projector
from agents.matching.command_sequencer import CommandSequencer, Sequenced, UnseenCommand
from broker.command_records import read_command
from schemas.events import Event
from schemas.wire import CommandRecord, EventRecord, NumberedCommand
from store.audit.audit import audit
from store.projection import ProjectionBroken
from store.projection.chain import ChainedEvent, Progress
from tests.store.engine_rows import assert_rows_equal_the_engine
from tests.store.long_exchange import BTC, LongMarket
from tests.store.projection_builders import open_exchange

SHORT, FULL = 8_000, 1_000_000
DELIVERIES_MAX = 5
COMMANDS_PER_RECORD_MAX = 60
BLOCK = 600
T = TypeVar("T")


@pytest_asyncio.fixture
async def market(database: str) -> AsyncIterator[LongMarket]:
    """A market with forty rich users that has not traded yet."""
    exchange = await open_exchange(database)
    opened = LongMarket(exchange, seed=5)
    await opened.open()
    yield opened
    await exchange.close()


class Deliveries:
    """Delivers each message one to five times, and counts the outcomes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - the same deliveries in every run
        self.counts: Counter[int] = Counter()
        self.total = 0

    def order(self, records: Sequence[T], messages: Sequence[int]) -> list[T]:
        """First deliveries in the order of the log, as Kafka gives them; every repetition anywhere after its first.

        `messages`: how many messages each record holds.
        """
        places = []
        for at, held in enumerate(messages):
            times = self.chance.randint(1, DELIVERIES_MAX)
            self.counts[times] += held
            self.total += times * held
            places += [(at, at)] + [(at + self.chance.uniform(0.0, 6.0), at) for _ in range(times - 1)]
        return [records[at] for _, at in sorted(places)]


async def deliver(market: LongMarket, deliveries: Deliveries) -> None:
    """A block of commands to the engine, its events to the projection."""
    records = in_records(await market.next_block(BLOCK), deliveries.chance)
    sent: list[EventRecord] = []
    for record in deliveries.order(records, [len(record) for record in records]):
        sent += market.match(record)
    market.forget()
    waiting = deliveries.order(sent, [len(record.events) for record in sent])
    while waiting:
        size = deliveries.chance.randint(1, 20)
        await market.projection.apply(waiting[:size])
        waiting = waiting[size:]


def in_records(commands: Sequence[NumberedCommand], chance: random.Random) -> list[Sequence[NumberedCommand]]:
    """Packed at random borders, as a relay packs what waits."""
    records, at = [], 0
    while at < len(commands):
        size = chance.randint(1, COMMANDS_PER_RECORD_MAX)
        records.append(commands[at : at + size])
        at += size
    return records


async def check(market: LongMarket, deliveries_min: int) -> str:
    """Deliver this many; check that each command and event had one effect. Returns the counts."""
    deliveries = Deliveries(seed=5)
    while deliveries.total < deliveries_min:
        await deliver(market, deliveries)
    session = market.exchange.session
    assert market.market.command_seq == market.seq
    assert await session.fetchval("SELECT count(*) FROM fills") == 2 * market.market.trade_seq
    await assert_rows_equal_the_engine(market.exchange, BTC)
    assert await audit(session) == []
    assert set(deliveries.counts) == set(range(1, DELIVERIES_MAX + 1))
    times = ", ".join(f"{n} times {count:,}" for n, count in sorted(deliveries.counts.items()))
    return f"{deliveries.total:,} deliveries of {market.seq:,} commands, {market.market.event_seq:,} events: {times}"


async def test_nothing_that_comes_again_has_an_effect_again(market: LongMarket) -> None:
    """Thousands of deliveries, three of each message on average."""
    await check(market, SHORT)


@pytest.mark.chaos  # minutes of processor time
@pytest.mark.timeout(7200)
async def test_nothing_of_a_million_deliveries_has_an_effect_again(market: LongMarket) -> None:
    """The full size of the bar."""
    print(await check(market, FULL))  # noqa: T201 - what was measured


def take_seen_again(sequencer: CommandSequencer, record: CommandRecord) -> Sequenced:
    """An engine that numbers its commands itself: a repeated command is another one."""
    first = sequencer.next_seq
    again = [each._replace(seq=first + at) for at, each in enumerate(_parsed(record))]
    sequencer._kept += [each.body for each in again]
    return Sequenced(again, None)


def _parsed(record: CommandRecord) -> list[UnseenCommand]:
    return [UnseenCommand(command.seq, command.body, read_command(command.body)) for command in record.commands]


def project_again(_market: str, _progress: Progress, chain: Sequence[ChainedEvent]) -> tuple[list[Event], Progress]:
    """A projection that applies what it gets."""
    last = chain[-1]
    return [link.event for link in chain], Progress(last.event.seq, last.event.command, last.hash)


FAULTS: dict[str, tuple[object, str, object]] = {
    "a repeated command is taken again": (CommandSequencer, "sort", take_seen_again),
    "a repeated event is applied again": (store.projection.projector, "events_after", project_again),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_put_in_on_purpose_is_seen(
    fault: str, market: LongMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the projection stops, or rows and engine differ."""
    monkeypatch.setattr(*FAULTS[fault])
    with pytest.raises((AssertionError, ProjectionBroken, asyncpg.UniqueViolationError)):
        await check(market, SHORT // 4)
