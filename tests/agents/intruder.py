"""Records that anyone with access to the broker may write into our topics: what they hold, and writing them."""

import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from broker.event_records import pack
from exchange.engine.log.journal import answer_command
from exchange.engine.log.snapshot_format import dump
from exchange.engine.market import empty_market
from schemas.commands import ListMarket
from schemas.fills import PublicFill, encode_fill
from schemas.market import SEED_MARKETS, MarketStatus
from schemas.orders import FillCause, Side
from schemas.topics import book_changelog_topic, commands_topic, events_topic, fills_topic
from schemas.wire import GENESIS_HASH, CommandRecord, NumberedCommand, encode
from tables.book_table import snapshot_entries, snapshot_of
from tests.agents.stream import BEGAN_AT

OTHER = "BTC-PERP"
Entries = list[tuple[bytes | None, bytes | None]]
TOPICS: dict[str, Callable[[str], str]] = {
    "commands": commands_topic,
    "events": events_topic,
    "fills": fills_topic,
    "book": book_changelog_topic,
}


class Kind(NamedTuple):
    """A kind of foreign record; `entries` gives its keys and values for a topic of a market."""

    entries: Callable[[str, str], Entries]
    compression: str | None = None
    is_transaction: bool = False


def _with_keys(value: bytes | None) -> Callable[[str, str], Entries]:
    """The value under a key that is not ours, and in the book table also under a key that could be."""

    def entries(topic: str, _market: str) -> Entries:
        keys = [b"not ours", b"head/7"] if topic == "book" and value is not None else [b"not ours"]
        return [(key, value) for key in keys]

    return entries


def _without_key(topic: str, _market: str) -> Entries:
    return [(b"" if topic == "book" else None, b"no key")]  # a compacted topic refuses a record without a key


def _of_another_market(topic: str, _market: str) -> Entries:
    return _records_of(topic, OTHER)


def _of_another_log(topic: str, market: str) -> Entries:
    """What belongs into another topic of this very market."""
    elsewhere = {"commands": "events", "events": "commands", "fills": "events", "book": "fills"}[topic]
    return [(b"astray", value) for _, value in _records_of(elsewhere, market)]


def _records_of(topic: str, market: str) -> Entries:
    listing = ListMarket(BEGAN_AT, msgspec.structs.replace(SEED_MARKETS[0], market=market), MarketStatus.ACTIVE)
    listed = empty_market(market)
    events = answer_command(listed, 1, listing)
    key = market.encode()
    match topic:
        case "commands":
            return [(key, encode(CommandRecord(market, 1, [NumberedCommand(1, msgspec.Raw(encode(listing)))])))]
        case "events":
            return [(key, encode(record)) for record in pack(market, 1, GENESIS_HASH, events)]
        case "fills":
            return [(key, encode_fill(_fill(market)))]
        case _:
            listed.command_seq = 10**9  # it would be the newest
            return list(snapshot_entries(snapshot_of(dump(listed), listed, 1, 0)))


def _fill(market: str) -> PublicFill:
    return PublicFill(
        market_id=market,
        sequence=77,
        trade_id=f"{market}-77",
        event_id=f"{market}:99",
        time="2027-01-15T12:00:00.000000Z",
        price="60000",
        quantity="0.3",
        notional="18000",
        taker_side=Side.BUY,
        maker_order_id=f"{market}-1",
        taker_order_id=f"{market}-2",
        cause=FillCause.TRADE,
    )


KINDS: dict[str, Kind] = {
    "garbage": Kind(_with_keys(b"\x00\xff\x01\xfe\x02\xfd\x03\xfc")),
    "empty": Kind(_with_keys(b"")),
    "tombstone": Kind(_with_keys(None)),
    "json": Kind(_with_keys(b'{"market":5,"v":"x","events":{}}')),
    "deep": Kind(_with_keys(b'{"market":' + b"[" * 50_000)),
    "huge": Kind(_with_keys(random.Random(1).randbytes(1_900_000))),  # noqa: S311 - the same bytes on every run
    "without key": Kind(_without_key),
    "another market": Kind(_of_another_market),
    "another log": Kind(_of_another_log),
    "compressed": Kind(_with_keys(b"x" * 10_000), compression="gzip"),
    "transaction": Kind(_with_keys(b"in a transaction"), is_transaction=True),
}


async def intrude(bootstrap: str, market: str, topic: str, kind: Kind) -> int:
    """Write the records of a kind into a topic of a market; returns how many."""
    settings = {"transactional_id": "an intruder"} if kind.is_transaction else {}
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_request_size=2 * 2**20, compression_type=kind.compression, **settings
    )
    entries = kind.entries(topic, market)
    await producer.start()
    try:
        if kind.is_transaction:
            await producer.begin_transaction()
        for key, value in entries:
            await producer.send_and_wait(TOPICS[topic](market), value, key=key, partition=0, headers=[("who", b"")])
        if kind.is_transaction:
            await producer.commit_transaction()
    finally:
        await producer.stop()
    return len(entries)
