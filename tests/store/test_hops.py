"""The times of records on their way are kept for the orders in them: once, despite repetitions, and for no others."""

import random
from collections.abc import AsyncIterator

import pytest_asyncio

from schemas.commands import AdvanceClock
from schemas.ids import public_order_id
from schemas.orders import Side
from schemas.rest.order_trace import Hop
from schemas.units import SECOND_US, Timestamp, format_timestamp
from store.command_log.outbox import SentRecord, correct_cursor, record_sent, rewind
from store.queries.accounts.order_trace import read_order_trace
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC = "BTC-PERP"
ORDERS = 12


def at(second: int) -> Timestamp:
    """This many seconds after noon."""
    return Timestamp(NOON + second * SECOND_US)


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """Commands 2 to 13 are orders of one user that cross each other."""
    opened = await open_exchange(database)
    user = await opened.user("a@x.io")
    for number in range(ORDERS):
        side = Side.SELL if number % 3 else Side.BUY
        await opened.submit(BTC, an_order(user, side, 1, 600_000))
    yield opened
    await opened.close()


async def times_of(exchange: Exchange, hop: Hop) -> dict[int, str | None]:
    """When each order took a hop, by its sequence."""
    user = await exchange.session.fetchval("SELECT min(user_id) FROM orders")
    times: dict[int, str | None] = {}
    for seq in range(2, ORDERS + 2):
        trace = await read_order_trace(exchange.session, user, public_order_id(BTC, seq))
        assert trace is not None
        (times[seq],) = [view.time for view in trace.hops if view.hop is hop]
    return times


async def test_the_first_time_an_order_was_sent_counts(exchange: Exchange) -> None:
    """The engine asks again, and the relay cuts other records: an order sent before keeps its time."""
    session = exchange.session
    assert await record_sent(session, [SentRecord(1, 0, 4, at(1))])
    assert await record_sent(session, [SentRecord(1, 4, 8, at(2))])
    assert await rewind(session, BTC, 4)
    assert not await record_sent(session, [SentRecord(1, 8, 13, at(3))])
    assert await record_sent(session, [SentRecord(1, 3, 6, at(4))])
    assert await record_sent(session, [SentRecord(1, 6, 8, at(5))])
    assert await record_sent(session, [SentRecord(1, 8, 12, at(6))])
    assert await times_of(exchange, Hop.RELAYED) == {
        **dict.fromkeys((2, 3, 4), format_timestamp(at(1))),
        **dict.fromkeys((5, 6, 7, 8), format_timestamp(at(2))),
        **dict.fromkeys((9, 10, 11, 12), format_timestamp(at(6))),
        13: None,
    }


async def test_a_corrected_cursor_is_no_sending(exchange: Exchange) -> None:
    """Where the log turns out to be shorter, nothing was sent."""
    assert await record_sent(exchange.session, [SentRecord(1, 0, 4, at(1))])
    assert await correct_cursor(exchange.session, 1, 4, 2)
    assert await exchange.session.fetchval("SELECT array_agg(command_seq) FROM relayed_records") == [4]


async def test_records_without_an_order_are_not_kept(exchange: Exchange) -> None:
    """The first command lists the market, the last is a tick of the clock."""
    await exchange.submit(BTC, AdvanceClock(NOON))
    for first in (0, 13):
        assert await record_sent(exchange.session, [SentRecord(1, first, first + 1, at(1))])
        await exchange.session.execute("UPDATE relay_cursors SET command_seq = 13 WHERE market_id = 1")
    await exchange.match(BTC)
    records = exchange.records(BTC, 1, sizes=(1, ORDERS))
    await exchange.projections[BTC].apply(records, [at(second) for second, _ in enumerate(records)])
    assert await exchange.session.fetchval("SELECT count(*) FROM relayed_records") == 0
    assert await exchange.session.fetch("SELECT command_seq, after_seq FROM persisted_records") == [(13, 1)]


async def test_each_order_has_the_time_of_its_own_record(exchange: Exchange) -> None:
    """Records of any size, some of them delivered again and again: matched with the first, and persisted after it."""
    await exchange.match(BTC)
    chance = random.Random(7)  # noqa: S311 - a seeded course
    whole = exchange.records(BTC, 1, sizes=[chance.randint(1, 4) for _ in range(ORDERS)])
    number = {record.last_command_seq: place for place, record in enumerate(whole)}
    waiting = list(whole)
    while waiting:
        old = chance.choice(whole[: len(whole) - len(waiting)] or whole[:1])
        batch = sorted([old, *waiting[:2]], key=lambda record: record.last_command_seq)
        del waiting[:2]
        await exchange.projections[BTC].apply(batch, [at(number[record.last_command_seq]) for record in batch])
    expected = {
        seq: format_timestamp(at(place))
        for place, record in enumerate(whole)
        for seq in range(record.first_command_seq, record.last_command_seq + 1)
        if seq > 1
    }
    assert await times_of(exchange, Hop.MATCHED) == expected
    persisted = await times_of(exchange, Hop.PERSISTED)
    assert None not in persisted.values()
    assert list(persisted.values()) == sorted(map(str, persisted.values()))
