"""The journal of a market: each event encoded once and chained by hash to the one before it."""

from collections.abc import Container, Sequence
from typing import NamedTuple

from exchange.engine.engine import apply, fail
from exchange.engine.market import Market
from schemas.commands import Command, UserCommand
from schemas.events import Event
from schemas.wire import chain_hash, encode


class EncodedEvent(NamedTuple):
    """An encoded event: its sequence, the command that caused it, its bytes, the chain hash, and the rules version."""

    seq: int
    command: int
    body: bytes
    hash: str
    rules: int


def answer_command(market: Market, seq: int, command: Command) -> list[EncodedEvent]:
    """Apply command `seq` and encode its events; `market.event_hash` advances with them."""
    return _chained(market, seq, apply(market, seq, command))


def fail_command(market: Market, seq: int, command: UserCommand) -> list[EncodedEvent]:
    """Encode the failure of command `seq` instead of applying it."""
    return _chained(market, seq, fail(market, seq, command))


def answer_or_fail(market: Market, seq: int, command: Command, failed: Container[int]) -> list[EncodedEvent]:
    """Apply command `seq` of a log and encode its events; a command in `failed` failed once and fails again."""
    if seq in failed and isinstance(command, UserCommand):
        return fail_command(market, seq, command)
    return answer_command(market, seq, command)


def _chained(market: Market, seq: int, events: Sequence[Event]) -> list[EncodedEvent]:
    written = []
    for event in events:
        body = encode(event)
        market.event_hash = chain_hash(market.event_hash, body)
        written.append(EncodedEvent(event.seq, seq, body, market.event_hash, market.rules))
    return written
