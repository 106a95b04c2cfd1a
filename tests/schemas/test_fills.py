"""The public fill stream is a public contract: bytes of every version are kept, and fields are only added."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.events import PositionTransferred, TradeExecuted, TradeSide, TransferSide
from schemas.fills import (
    FILL_SCHEMA_VERSION,
    PublicFill,
    decode_fill,
    encode_fill,
    fill_headers,
    fill_of_trade,
    fill_of_transfer,
)
from schemas.market import SEED_MARKETS
from schemas.orders import FillCause, Side
from schemas.units import Lots, Micros, Ticks, Timestamp

GOLDEN = Path(__file__).parent / "golden"
NOON = Timestamp(1_800_014_400_000_000)  # 2027-01-15T12:00:00Z
BTC = SEED_MARKETS[0]
MAKER = TradeSide(57, 4_711, Lots(200), Micros(3_600_000), Micros(0), 300, Micros(18_000_000_000), Micros(0), 90)
TAKER = TradeSide(58, 4_712, Lots(0), Micros(9_000_000), Micros(0), -300, Micros(-18_000_000_000), Micros(0), 90)
TRADE = TradeExecuted(
    91, 58, NOON, 17, Ticks(600_000), Lots(300), Micros(18_000_000_000), Side.SELL, MAKER, TAKER, FillCause.TRADE
)
FLAT = TransferSide(4_711, Micros(0), 0, Micros(0), Micros(0), 0)
MOVED = PositionTransferred(
    *(99, 63, NOON, 18, FillCause.TAKE_OVER, 7, 2, Side.SELL, Lots(300), Micros(17_100_000_001), Ticks(570_000)),
    *(FLAT, FLAT),
)
FILLS = {"trade": fill_of_trade(BTC, TRADE), "take-over": fill_of_transfer(BTC, MOVED)}


def golden(kind: str, version: int) -> bytes:
    """A record of a version, as it was first written."""
    return (GOLDEN / f"fill-v{version}-{kind}.json").read_bytes()


def schema_of(version: int) -> dict[str, Any]:
    """The fields that a version was published with."""
    published: dict[str, Any] = json.loads((GOLDEN / f"fill-v{version}.schema.json").read_bytes())
    return published


@pytest.mark.parametrize("kind", FILLS)
def test_a_fill_is_written_in_the_bytes_that_were_promised(kind: str) -> None:
    """Byte by byte: a record that comes again, from another release too, is the same record."""
    assert encode_fill(FILLS[kind]) == golden(kind, FILL_SCHEMA_VERSION)


@pytest.mark.parametrize("version", range(1, FILL_SCHEMA_VERSION + 1))
@pytest.mark.parametrize("kind", FILLS)
def test_every_version_ever_written_is_read(kind: str, version: int) -> None:
    """Fills stored in anyone's topic or file stay readable."""
    assert decode_fill(golden(kind, version)).sequence == FILLS[kind].sequence


def test_the_headers_have_what_a_consumer_decides_by() -> None:
    """Event, sequence and version, as text, then the attributes of a CloudEvent in Kafka's binary mode."""
    assert fill_headers(FILLS["trade"]) == [
        ("eventId", b"BTC-PERP:91"),
        ("sequence", b"17"),
        ("schemaVersion", b"1"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"fills.BTC-PERP:17"),
        ("ce_type", b"perpetua.fill.v1"),
        ("ce_source", b"/markets/BTC-PERP"),
        ("ce_time", b"2027-01-15T12:00:00.000000Z"),
    ]


@pytest.mark.parametrize("kind", FILLS)
def test_a_fill_names_nobody(kind: str) -> None:
    """Neither user ids nor positions, fees or profits of anybody."""
    message = json.loads(encode_fill(FILLS[kind]))
    assert set(message) == set(schema_of(FILL_SCHEMA_VERSION)["properties"])
    assert not {"user", "userId", "fee", "realized", "position", "bankrupt"} & set(message)
    assert b"4711" not in encode_fill(FILLS[kind])


def test_fields_are_only_added() -> None:
    """Each field of the published schema is there, in its order, with its type; no added one is before them."""
    now = msgspec.json.schema_components([PublicFill])[1]["PublicFill"]
    before = schema_of(FILL_SCHEMA_VERSION)
    fields = list(before["properties"])
    assert list(now["properties"])[: len(fields)] == fields
    for name in fields:
        assert _shape(now["properties"][name]) == _shape(before["properties"][name]), name
    assert set(before["required"]) <= {*now["required"]}


def test_no_published_word_is_removed() -> None:
    """A side or a cause that was ever written stays what it was: a cause may be added, none goes or is renamed."""
    now = msgspec.json.schema_components([PublicFill])[1]
    for name, before in schema_of(FILL_SCHEMA_VERSION)["$defs"].items():
        assert set(before["enum"]) <= set(now[name]["enum"]), name


def test_an_older_reader_passes_over_what_was_added() -> None:
    """A field of a later release does not break a consumer that does not know it."""
    later = golden("trade", 1).replace(b'"schemaVersion":1', b'"schemaVersion":1,"addedLater":{"a":[1]}')
    assert decode_fill(later) == FILLS["trade"]


def _shape(field: dict[str, Any]) -> dict[str, Any]:
    """A field without what is said about it: words, and the format of what was always written in it."""
    return {key: value for key, value in field.items() if key not in {"description", "format"}}
