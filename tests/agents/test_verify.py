"""Verify: a market's whole log replayed and compared; any alteration is found."""

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec
import pytest_asyncio

from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.verify import Report, verify
from broker.event_records import hashes_in
from broker.producer import AckedProducer
from broker.reader import stream_records
from exchange.engine.log.snapshot_format import dump
from exchange.engine.market import empty_market
from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.topics import book_changelog_topic, commands_topic, events_topic
from schemas.wire import CommandRecord, EventRecord, decode_command_record, decode_event_record, encode
from store.projection import Projection
from store.session.connect import connect_writer
from store.submission import SubmitOrder
from tables.book_table import snapshot_entries, snapshot_of
from tests.agents.stream import Stream, hosted, stream_on
from tests.conftest import Broker
from tests.eventually import eventually
from tests.topic_faults import delete_all_topics

PARTS = (Relay, engine_unit, projection_unit)
OF_THE_MARKET = "market_id = (SELECT market_id FROM markets WHERE name = $1)"
A_TRADE = f"{OF_THE_MARKET} AND trade_id = (SELECT max(trade_id) FROM fills WHERE {OF_THE_MARKET})"
AN_ENDED = f"order_id = (SELECT max(order_id) FROM orders WHERE {OF_THE_MARKET} AND status = 'FILLED')"
A_RESTING = f"order_id = (SELECT max(order_id) FROM orders WHERE {OF_THE_MARKET} AND is_live)"
A_HOLDER = f"{OF_THE_MARKET} AND user_id = (SELECT max(user_id) FROM positions WHERE {OF_THE_MARKET} AND lots <> 0)"

CORRUPTIONS = {
    "a fill one tick dearer": ("fills", f"UPDATE fills SET price = price + 1 WHERE {A_TRADE} AND role = 'MAKER'"),
    "a fee one micro off": ("fills", f"UPDATE fills SET fee = fee + 1 WHERE {A_TRADE} AND role = 'TAKER'"),
    "a fill missing": ("fills", f"DELETE FROM fills WHERE {A_TRADE} AND role = 'TAKER'"),
    "a fill that no event reports": (
        "fills",
        (
            "INSERT INTO fills SELECT market_id, trade_id + 1, role, event_seq, order_id, user_id, side, price, "
            f"quantity, notional, fee, realized, cause, at FROM fills WHERE {A_TRADE}"
        ),
    ),
    "a position one lot larger": ("positions", f"UPDATE positions SET lots = lots + 1 WHERE {A_HOLDER}"),
    "a cost one micro off": ("positions", f"UPDATE positions SET cost = cost - 1 WHERE {A_HOLDER}"),
    "a resting order one lot smaller": ("orders", f"UPDATE orders SET remaining = remaining - 1 WHERE {A_RESTING}"),
    "an ended order with another end": (
        "orders",
        f"UPDATE orders SET status = 'CANCELLED', reason = 'USER' WHERE {AN_ENDED}",
    ),
    "an ended order that filled one micro more": (
        "orders",
        f"UPDATE orders SET filled_notional = filled_notional + 1 WHERE {AN_ENDED}",
    ),
    "an order row missing": ("orders", f"DELETE FROM orders WHERE {A_RESTING}"),
    "progress with another hash": (
        "progress",
        f"UPDATE progress SET event_hash = translate(event_hash, '0123456789abcdef', '1032547698badcfe') WHERE {OF_THE_MARKET}",
    ),
    "progress one event behind": ("progress", f"UPDATE progress SET event_seq = event_seq - 1 WHERE {OF_THE_MARKET}"),
    "a mark one tick off": ("markets", f"UPDATE markets SET mark = mark + 1 WHERE {OF_THE_MARKET}"),
    "an index one nano off": ("markets", f"UPDATE markets SET index_price = index_price - 1 WHERE {OF_THE_MARKET}"),
    "another status": ("markets", f"UPDATE markets SET status = 'CANCEL_ONLY' WHERE {OF_THE_MARKET}"),
    "another status of the operator": (
        "markets",
        f"UPDATE markets SET operator_status = 'HALTED' WHERE {OF_THE_MARKET}",
    ),
    "another open-interest limit": (
        "markets",
        f"""UPDATE markets SET spec = spec || '{{"openInterestMax": 1}}' WHERE {OF_THE_MARKET}""",
    ),
    "a mark frozen that is not": ("markets", f"UPDATE markets SET is_frozen = true WHERE {OF_THE_MARKET}"),
    "a countdown that the log does not have": (
        "countdowns",
        "INSERT INTO countdowns SELECT market_id, 1, '2100-01-01Z', 'ALL' FROM markets WHERE name = $1",
    ),
    "another rules version": ("markets", f"UPDATE markets SET rules = rules + 1 WHERE {OF_THE_MARKET}"),
    "a snapshot with another byte": (
        "engine_snapshots",
        f"UPDATE engine_snapshots SET state = set_byte(state, 9, get_byte(state, 9) # 1) WHERE {OF_THE_MARKET}",
    ),
    "a command in the outbox with other bytes": (
        "outbox",
        (
            f"UPDATE outbox SET payload = payload || ' ' WHERE {OF_THE_MARKET} AND command_seq ="
            f" (SELECT max(command_seq) FROM outbox WHERE {OF_THE_MARKET})"
        ),
    ),
}
"""A change made without the exchange, and the table it is made in."""


@pytest_asyncio.fixture
async def traded(broker: Broker, database: str, tmp_path: Path) -> AsyncIterator[Stream]:
    """A market that has traded 340 orders and amended 40, with a snapshot after its first record and one after its last."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in PARTS)):
            for count in (170, 170):  # at least two records in each log, however late its worker starts
                await stream.trade(count)
                await stream.amend_live(20)
                await stream.drained()
        yield stream


async def verified(stream: Stream) -> Report:
    """What verify says of the market."""
    return await verify(stream.settings, stream.market)


async def test_verify_finds_every_corruption_of_the_tables(traded: Stream) -> None:
    """One row changed without the exchange, in any table it writes, is a difference; put back, nothing differs."""
    clean = await verified(traded)
    assert clean.differences == []
    assert clean.orders == 340
    assert clean.snapshots > 0
    unfound = []
    await traded.session.execute("SET session_replication_role = replica")  # rows go and come back, keys or not
    for corruption, (table, statement) in CORRUPTIONS.items():
        await traded.session.execute(f"CREATE TABLE kept AS SELECT * FROM {table}")
        status = await traded.session.execute(statement, traded.market)
        assert not status.endswith(" 0"), f"{corruption} touches no row"
        if (await verified(traded)).differences_found == 0:
            unfound.append(corruption)
        await traded.session.execute(f"DELETE FROM {table}")
        await traded.session.execute(f"INSERT INTO {table} SELECT * FROM kept")
        await traded.session.execute("DROP TABLE kept")
    assert unfound == []
    assert (await verified(traded)).differences == []


def another_event_byte(record: EventRecord) -> list[EventRecord]:
    """One letter of one event is another, its record's own hash as it was."""
    at = len(record.events) // 2
    altered = msgspec.Raw(bytes(record.events[at]).replace(b'"at":1', b'"at":2', 1))
    events = [*record.events[:at], altered, *record.events[at + 1 :]]
    return [msgspec.structs.replace(record, events=events)]


def without_its_last_event(record: EventRecord) -> list[EventRecord]:
    """The record claims as many events as it had, but the last is gone."""
    return [msgspec.structs.replace(record, events=record.events[:-1])]


def repeated_with_other_bytes(record: CommandRecord) -> list[CommandRecord]:
    """The record comes, and its last command again, altered."""
    last = record.commands[-1]
    altered = msgspec.structs.replace(last, body=msgspec.Raw(bytes(last.body).replace(b'"at":1', b'"at":2', 1)))
    return [record, msgspec.structs.replace(record, commands=[altered])]


def without_its_first_command(record: CommandRecord) -> list[CommandRecord]:
    """A hole in the log."""
    return [msgspec.structs.replace(record, commands=record.commands[1:])]


def another_state_byte(value: bytes) -> list[bytes]:
    """One byte of a chunk is another."""
    return [value[:20] + bytes([value[20] ^ 1]) + value[21:]]


Alter = Callable[[bytes], Iterable[bytes]]
TOPICS = {"commands": commands_topic, "events": events_topic, "book": book_changelog_topic}
ALTERATIONS: dict[str, tuple[str, Alter]] = {
    "an event with another byte": (
        "events",
        lambda value: map(encode, another_event_byte(decode_event_record(value))),
    ),
    "an event missing": ("events", lambda value: map(encode, without_its_last_event(decode_event_record(value)))),
    "a whole event record missing": ("events", lambda _value: []),
    "a command repeated with other bytes": (
        "commands",
        lambda value: map(encode, repeated_with_other_bytes(decode_command_record(value))),
    ),
    "a command missing": (
        "commands",
        lambda value: map(encode, without_its_first_command(decode_command_record(value))),
    ),
    "a snapshot in the table with another byte": ("book", another_state_byte),
}


async def copy_logs(stream: Stream, source: str, log: str = "", alter: Alter | None = None) -> None:
    """Copy a market's three topics to the broker it looks at now, one of them altered in one record."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    altered = 0
    for name, topic in TOPICS.items():
        records = [record async for record in stream_records(source, topic(stream.market))]
        gone = {record.key for record in records if record.value is None}
        lasting = [record for record in records if name != "book" or record.key not in gone]
        for place, record in enumerate(lasting):
            is_altered = name == log and place == (0 if name == "book" else 1)
            altered += is_altered
            for value in alter(record.value) if alter is not None and is_altered else [record.value]:
                await producer.send(topic(stream.market), value, key=record.key)
    await producer.stop()
    assert altered == (1 if log else 0)


async def test_verify_finds_what_is_altered_in_a_log(traded: Stream, empty_broker: Broker) -> None:
    """The logs copied record by record hold; with one byte, one event or one record altered they do not."""
    source, differing = traded.settings.bootstrap, set()
    for alteration, (log, alter) in {"nothing": ("", None), **ALTERATIONS}.items():
        await traded.move_to(empty_broker)
        await copy_logs(traded, source, log, alter)
        if (await verified(traded)).differences_found:
            differing.add(alteration)
        await delete_all_topics(empty_broker.bootstrap)
    assert differing == set(ALTERATIONS)


async def test_a_zombies_late_head_over_forgotten_chunks_is_no_difference(traded: Stream) -> None:
    """Found by the simulator (seed 4720): the owner has moved on and cleared up; recovery passes such a head, so does verify."""
    market = empty_market(traded.market)
    *chunks, (head_key, head) = snapshot_entries(snapshot_of(dump(market), market, epoch=1, offset=-1))
    late = [*chunks, *((key, None) for key, _ in chunks), (head_key, head)]
    producer = AckedProducer(traded.settings.bootstrap)
    await producer.start()
    await producer.send_all(book_changelog_topic(traded.market), late)
    await producer.stop()
    assert (await verified(traded)).differences == []


async def test_a_command_that_is_persisted_in_part_is_no_difference(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """The events of one command may be cut over records; between the two, rows and replay agree on the first."""
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in (Relay, engine_unit))):
            await stream.trade(3)
            for side in (Side.SELL, Side.BUY):
                request = OrderRequest(stream.market, side, OrderType.LIMIT, "0.001", "60010")
                await stream.submit([SubmitOrder(stream.users[side is Side.BUY], request)])
            await eventually(partial(last_command_is, stream, 6))
        *whole, last = await stream.records()
        cut = msgspec.structs.replace(
            last,
            events=last.events[:-1],
            last_event_seq=last.last_event_seq - 1,
            last_command_seq=last.last_command_seq - 1,
            hash=[chain for _, chain in hashes_in(last)][-2],
        )
        projection = Projection(lambda: connect_writer(database, "test"), stream.market)
        await projection.apply([*whole, cut])
        assert (await stream.progress()).command_seq == 5
        assert (await verified(stream)).differences == []
        await projection.apply([last])
        assert (await stream.progress()).command_seq == 6
        assert (await verified(stream)).differences == []
        await projection.close()


async def last_command_is(stream: Stream, seq: int) -> bool:
    """Whether the engine has come so far."""
    records = await stream.records()
    return bool(records) and records[-1].last_command_seq == seq
