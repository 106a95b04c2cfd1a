"""The journal of a market: each event encoded once and chained by hash to the one before it."""

from collections.abc import Container, Sequence
from typing import NamedTuple

from exchange.engine.engine import apply, fail
from exchange.engine.market import Market
from schemas.commands import Command, UserCommand
from schemas.events import Event
from schemas.wire import chain_hash, encode


class Written(NamedTuple):
    """An encoded event: its sequence, the command that caused it, its bytes, the chain hash, and the rules version."""

    seq: int
    command: int
    body: bytes
    hash: str
    rules: int


def write(market: Market, seq: int, command: Command) -> list[Written]:
    """Apply command `seq` and encode its events; `market.event_hash` advances with them."""
    return _chained(market, seq, apply(market, seq, command))


def write_failure(market: Market, seq: int, command: UserCommand) -> list[Written]:
    """Encode the failure of command `seq` instead of applying it."""
    return _chained(market, seq, fail(market, seq, command))


def write_again(market: Market, seq: int, command: Command, failed: Container[int]) -> list[Written]:
    """Encode again the events of command `seq` of a log; the commands in `failed` fail again."""
    if seq in failed and isinstance(command, UserCommand):
        return write_failure(market, seq, command)
    return write(market, seq, command)


def _chained(market: Market, seq: int, events: Sequence[Event]) -> list[Written]:
    written = []
    for event in events:
        body = encode(event)
        market.event_hash = chain_hash(market.event_hash, body)
        written.append(Written(event.seq, seq, body, market.event_hash, market.rules))
    return written
