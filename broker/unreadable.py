"""Records in our topics that are not ours, and the rule that separates them from records of ours that must not be passed.

A record is not ours when nothing in it can be a record of this market's log: it has no value, its bytes are not what the
log holds, or it names another market. Such a record is passed: sequences and the hash chain prove that nothing is missing.
A record that names this market and a newer form (`v`) is ours, of a newer release: a process that cannot read it stops.

Exception
|-- UnreadableRecord   not ours: it takes no sequence and is passed
`-- NewerRecord        ours, and this code is too old for it
"""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.wire import UNDECODABLE

PARTITION = 0
KNOWN_FORM = 1


class Unreadable(StrEnum):
    """Why a record is not one of its market's log."""

    MALFORMED = "MALFORMED"  # not JSON
    UNKNOWN = "UNKNOWN"  # JSON, of a type or a version that this code does not know
    FOREIGN_MARKET = "FOREIGN_MARKET"
    OTHER_PARTITION = "OTHER_PARTITION"  # our logs have one partition, 0


class UnreadableRecord(Exception):
    """A record that takes no sequence; `detail` is the decoder's message."""

    def __init__(self, reason: Unreadable, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class NewerRecord(Exception):
    """A record of this market in a newer form than this code reads: a newer release writes the log, upgrade this one."""

    def __init__(self, market: str, form: int) -> None:
        super().__init__(f"a record of {market} has form {form}, this code reads {KNOWN_FORM}: upgrade this process")
        self.market = market
        self.form = form


class _Claim(msgspec.Struct):
    """What a record says about itself, if it is an object at all."""

    market: str = ""
    v: int = 0


_claim_decoder = msgspec.json.Decoder(_Claim)


def unreadable(error: Exception) -> UnreadableRecord:
    """The fault for an error of decoding (schemas.wire.UNDECODABLE)."""
    reason = Unreadable.UNKNOWN if isinstance(error, msgspec.ValidationError) else Unreadable.MALFORMED
    return UnreadableRecord(reason, str(error))


def check_partition(message: Any) -> None:
    """Raise UnreadableRecord for a record of another partition than ours."""
    if message.partition != PARTITION:
        raise UnreadableRecord(Unreadable.OTHER_PARTITION, f"partition {message.partition}")


def check_not_newer(value: bytes, market: str) -> None:
    """Raise NewerRecord for undecodable bytes that name this market and a form that only newer code reads."""
    try:
        claim = _claim_decoder.decode(value)
    except UNDECODABLE:
        return
    if claim.market == market and claim.v > KNOWN_FORM:
        raise NewerRecord(market, claim.v)
