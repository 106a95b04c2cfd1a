"""Messages on the wire: closed unions, one form for each value, a hash that chains."""

from typing import get_args

import msgspec
import pytest

from schemas.commands import CancelOrder, CancelOrders, Command, SetCountdown
from schemas.events import Event
from schemas.orders import CountdownScope
from schemas.units import Timestamp
from schemas.wire import (
    GENESIS_HASH,
    CommandRecord,
    NumberedCommand,
    chain_hash,
    decode_command,
    decode_command_record,
    encode,
)

CANCEL = CancelOrder(Timestamp(5), 7, 9)
CANCEL_BYTES = b'{"type":"order.cancelled","at":5,"user":7,"order":9,"reason":"USER","v":1}'
OLD_CANCEL_BYTES = b'{"type":"order.cancelled","at":5,"user":7,"order":9,"v":1}'


CANCEL_ALL = CancelOrders(Timestamp(5), 7, (9, 12))
CANCEL_ALL_BYTES = b'{"type":"orders.cancelled","at":5,"user":7,"orders":[9,12],"reason":"USER","v":1}'

COUNTDOWN = SetCountdown(Timestamp(5), 7, 30_000, CountdownScope.NON_REDUCE_ONLY)
COUNTDOWN_BYTES = b'{"type":"countdown.set","at":5,"user":7,"countdownMs":30000,"scope":"NON_REDUCE_ONLY","v":1}'


@pytest.mark.parametrize(
    ("message", "body"),
    [(CANCEL, CANCEL_BYTES), (CANCEL_ALL, CANCEL_ALL_BYTES), (COUNTDOWN, COUNTDOWN_BYTES)],
)
def test_a_message_has_one_form_and_reads_back(message: Command, body: bytes) -> None:
    """The same value always gives the same bytes: the chain depends on it."""
    assert encode(message) == body
    assert decode_command(body) == message


def test_a_cancel_from_before_it_had_a_reason_is_the_users() -> None:
    """Messages only grow: what an older log holds is read as it was meant."""
    assert decode_command(OLD_CANCEL_BYTES) == CANCEL


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        CANCEL_BYTES[:-1],
        CANCEL_BYTES.replace(b"order.cancelled", b"order.forgotten"),
        CANCEL_BYTES.replace(b'"v":1', b'"v":2'),
        CANCEL_BYTES.replace(b'"user":7', b'"user":"7"'),
        CANCEL_BYTES.replace(b'"user":7', b'"user":7.5'),
    ],
)
def test_an_unknown_type_or_version_or_a_broken_body_is_not_read(body: bytes) -> None:
    """Anything not ours is refused as a whole."""
    with pytest.raises(msgspec.DecodeError):
        decode_command(body)


@pytest.mark.parametrize("union", [Command, Event])
def test_every_message_has_a_dotted_type_of_its_own_and_a_version(union: object) -> None:
    """Closed unions of frozen structs."""
    configs = [member.__struct_config__ for member in get_args(union)]
    tags = [config.tag for config in configs]
    assert len(set(tags)) == len(tags)
    assert all("." in tag for tag in tags)
    assert all(config.frozen for config in configs)
    assert all(member.__struct_fields__[-1] == "v" for member in get_args(union))


def test_a_packed_record_keeps_the_bytes_of_its_commands() -> None:
    """The relay packs without reading; what comes out is what went in."""
    packed = encode(CommandRecord("BTC-PERP", 1, [NumberedCommand(3, msgspec.Raw(CANCEL_BYTES))]))
    record = decode_command_record(packed)
    assert [(command.seq, bytes(command.body)) for command in record.commands] == [(3, CANCEL_BYTES)]


def test_the_chain_depends_on_order_and_content() -> None:
    """Another order or another byte is another hash."""
    a_then_b = chain_hash(chain_hash(GENESIS_HASH, b"a"), b"b")
    assert a_then_b != chain_hash(chain_hash(GENESIS_HASH, b"b"), b"a")
    assert a_then_b != chain_hash(chain_hash(GENESIS_HASH, b"a"), b"c")
    assert len(a_then_b) == len(GENESIS_HASH) == 32
