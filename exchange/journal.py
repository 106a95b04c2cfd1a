"""The market's diary: each event encoded once and chained by hash to the one before it."""

from typing import NamedTuple

from exchange.engine import apply
from exchange.market import Market
from schemas.commands import Command
from schemas.wire import chain_hash, encode


class Written(NamedTuple):
    """An event as it goes out: its sequence, the command that caused it, its bytes, and the hash of the chain there."""

    seq: int
    command: int
    body: bytes
    hash: str


def write(market: Market, seq: int, command: Command) -> list[Written]:
    """Apply command `seq` and write down what follows; `market.event_hash` moves with it."""
    written = []
    for event in apply(market, seq, command):
        body = encode(event)
        market.event_hash = chain_hash(market.event_hash, body)
        written.append(Written(event.seq, seq, body, market.event_hash))
    return written
