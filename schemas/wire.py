"""How commands and events travel: packed records, and the hash that chains one event to the next."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from schemas.commands import Command
from schemas.events import (
    CommandFailed,
    ConditionalAccepted,
    Event,
    OrderAccepted,
    PositionTransferred,
    TradeExecuted,
)

HASH_BYTES = 16
GENESIS_HASH = "0" * (2 * HASH_BYTES)
RULES_VERSION = 4
"""The newest rules version that this code supports (docs/adr/0005)."""
EVENT_RECORD_BYTES_MAX = 512 * 1024
COMMANDS_PER_RECORD_MAX = 500
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors of decoding: not JSON in UTF-8, not of the expected type, or nested too deep."""


class NumberedCommand(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A command in its place in the log: `[seq, {...}]`, the body still encoded."""

    seq: int
    body: msgspec.Raw


class CommandRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One Kafka record of `engine.commands.{market}`: consecutive commands, packed by the relay."""

    market: str
    epoch: int
    commands: list[NumberedCommand]
    v: Literal[1] = 1


class EventRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One Kafka record of `engine.events.{market}`: some or all events of one command record, chained from `prev_hash` to `hash`.

    `rules` is the rules version after its last event.
    """

    market: str
    epoch: int
    first_command_seq: int
    last_command_seq: int
    first_event_seq: int
    last_event_seq: int
    prev_hash: str
    hash: str
    rules: int
    events: list[msgspec.Raw]
    v: Literal[1] = 1


Trade: TypeAlias = TradeExecuted | PositionTransferred
"""An event with a number of the market's trade counter."""


class NamedOrder(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a reader of executions needs of an accepted order: its number, and what its client calls it."""

    order: int
    client_order_id: str | None


def _begin(*kinds: type[Event]) -> tuple[bytes, ...]:
    """How the bytes of events of these kinds begin."""
    return tuple(b'{"type":"%s"' % str(kind.__struct_config__.tag).encode() for kind in kinds)


_FAILED_BEGINS = _begin(CommandFailed)
_TRADES_BEGIN = _begin(TradeExecuted, PositionTransferred)
_ACCEPTED_BEGIN = _begin(OrderAccepted, ConditionalAccepted)
_encoder = msgspec.json.Encoder()
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_trade_decoder: msgspec.json.Decoder[Trade] = msgspec.json.Decoder(Trade)
_named_order_decoder = msgspec.json.Decoder(NamedOrder)
_command_record_decoder = msgspec.json.Decoder(CommandRecord)
_event_record_decoder = msgspec.json.Decoder(EventRecord)

encode = _encoder.encode
"""Any message or record as its bytes on the wire; the same value always gives the same bytes."""


def decode_command(body: bytes | msgspec.Raw) -> Command:
    """Read one command; raises msgspec.DecodeError for what is not ours."""
    return _command_decoder.decode(body)


def decode_event(body: bytes | msgspec.Raw) -> Event:
    """Read one event; raises msgspec.DecodeError for what is not ours."""
    return _event_decoder.decode(body)


def failed_command(body: bytes | msgspec.Raw) -> int | None:
    """The sequence of the command that an event says failed; None for every other event, which is not read further."""
    return _event_decoder.decode(body).command if bytes(body).startswith(_FAILED_BEGINS) else None


def trades_and_orders(events: Iterable[bytes | msgspec.Raw]) -> tuple[list[Trade], list[NamedOrder]]:
    """The trades among some events, and the orders that they accept; every other event is not read further."""
    trades: list[Trade] = []
    orders: list[NamedOrder] = []
    for event in events:
        body = bytes(event)
        if body.startswith(_ACCEPTED_BEGIN):
            orders.append(_named_order_decoder.decode(body))
        elif body.startswith(_TRADES_BEGIN):
            trades.append(_trade_decoder.decode(body))
    return trades, orders


def decode_command_record(body: bytes) -> CommandRecord:
    """Read one record of the command log; raises msgspec.DecodeError for what is not ours."""
    return _command_record_decoder.decode(body)


def decode_event_record(body: bytes) -> EventRecord:
    """Read one record of the event log; raises msgspec.DecodeError for what is not ours."""
    return _event_record_decoder.decode(body)


def chain_hash(previous: str, event: bytes | msgspec.Raw) -> str:
    """Hash of the previous event's hash followed by this event's bytes (blake2b, 16 bytes, hex)."""
    digest = blake2b(previous.encode(), digest_size=HASH_BYTES)
    digest.update(event)
    return digest.hexdigest()
