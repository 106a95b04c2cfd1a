"""Reading the command log: a complete record of ours, or the reason why it is not one."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import msgspec

from schemas.commands import Command
from schemas.wire import UNDECODABLE, CommandRecord, decode_command, decode_command_record

Read = TypeVar("Read")


class Unreadable(StrEnum):
    """Why a record of a command log is not a command record of its market."""

    MALFORMED = "MALFORMED"  # not JSON
    UNKNOWN = "UNKNOWN"  # JSON, of a type or a version that this code does not know
    FOREIGN_MARKET = "FOREIGN_MARKET"


class UnreadableRecord(Exception):
    """A record that takes no sequence; `detail` is the decoder's message."""

    def __init__(self, reason: Unreadable, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_record(value: bytes | None, market: str) -> CommandRecord:
    """A record of a market's command log, its commands still encoded; raises UnreadableRecord."""
    if value is None:
        raise UnreadableRecord(Unreadable.MALFORMED, "no value")
    record = _readable(decode_command_record, value)
    if record.market != market:
        raise UnreadableRecord(Unreadable.FOREIGN_MARKET, record.market)
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
    """A record of the market, or None for a record in its log that is not ours."""
    try:
        return read_record(value, market)
    except UnreadableRecord:
        return None


def _readable(decode: Callable[[bytes], Read], value: bytes | msgspec.Raw) -> Read:
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise UnreadableRecord(Unreadable.UNKNOWN, str(error)) from error
    except UNDECODABLE as error:
        raise UnreadableRecord(Unreadable.MALFORMED, str(error)) from error
