"""Reading the command log: a complete record of ours, or the reason why it is not one."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from broker.unreadable import Unreadable, UnreadableRecord, unreadable
from schemas.commands import Command
from schemas.wire import UNDECODABLE, CommandRecord, decode_command, decode_command_record

Read = TypeVar("Read")


def read_record(value: bytes | None, market: str) -> CommandRecord:
    """A record of a market's command log, its commands still encoded; raises UnreadableRecord."""
    if value is None:
        raise UnreadableRecord(Unreadable.MALFORMED, "no value")
    record = _readable(decode_command_record, value)
    if record.market != market:
        raise UnreadableRecord(Unreadable.FOREIGN_MARKET, record.market)
    if not record.commands:
        raise UnreadableRecord(Unreadable.MALFORMED, "no commands")
    return record


def read_command(body: msgspec.Raw) -> Command:
    """One command of a record; raises UnreadableRecord: a record with an unknown command is rejected as a whole."""
    return _readable(decode_command, body)


def read_whole_record(value: bytes | None, market: str) -> CommandRecord:
    """A record of a market's command log in which every command can be read; raises UnreadableRecord."""
    record = read_record(value, market)
    for command in record.commands:
        read_command(command.body)
    return record


def record_or_none(value: bytes | None, market: str) -> CommandRecord | None:
    """A record of the market in which every command can be read, or None for a record in its log that is not ours."""
    try:
        return read_whole_record(value, market)
    except UnreadableRecord:
        return None


def _readable(decode: Callable[[bytes], Read], value: bytes | msgspec.Raw) -> Read:
    try:
        return decode(value)
    except UNDECODABLE as error:
        raise unreadable(error) from error
