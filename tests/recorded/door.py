"""The one place that imports the engine: wire bytes go in, the results come out as JSON.

When modules move or classes are renamed, the imports here follow, and nothing else.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from agents.fills.trades import read_trades
from broker.event_records import pack
from exchange.engine.log.journal import EncodedEvent, answer_or_fail
from exchange.engine.log.snapshot_format import dump, load, state_hash
from exchange.engine.market import empty_market
from schemas.fills import encode_fill, fill_headers, fills_of_events
from schemas.wire import decode_command, encode

RESTORED_EVERY = 3
"""How often the market continues from its own snapshot."""

Results = dict[str, Any]


class Digest:
    """A running hash of messages: where one ends and the next starts counts."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def add(self, *messages: bytes) -> None:
        """Take in messages."""
        for message in messages:
            self._hash.update(len(message).to_bytes(8))
            self._hash.update(message)

    @property
    def text(self) -> str:
        """The hash of all so far."""
        return self._hash.hexdigest()


class Player:
    """A market that is played command by command, and what all its commands have led to."""

    def __init__(self, market: str, failed: Container[int], on_event: Callable[[bytes], None] | None = None) -> None:
        self._market = empty_market(market)
        self._failed = failed
        self._on_event = on_event
        self._commands, self._events, self._records, self._fills = Digest(), Digest(), Digest(), Digest()
        self._fresh: list[EncodedEvent] = []
        self._hash_before = self._market.event_hash
        self._checkpoints = 0

    def take(self, body: bytes) -> tuple[str, list[bytes]]:
        """Answer the next command: the last byte of the chain's hash after it, and its events."""
        command = decode_command(body)
        assert encode(command) == body, f"the wire bytes of a command have changed: {body!r} is {encode(command)!r}"
        written = answer_or_fail(self._market, self._market.command_seq + 1, command, self._failed)
        bodies = [event.body for event in written]
        self._commands.add(body)
        self._events.add(*bodies)
        self._fresh += written
        if self._on_event is not None:
            for event in bodies:
                self._on_event(event)
        return self._market.event_hash[-2:], bodies

    def results(self) -> Results:
        """The state of the market, and the digests of all its events."""
        self._publish()
        state = dump(self._market)
        restored = load(state)
        assert dump(restored) == state, "a snapshot that was read back is another one"
        self._checkpoints += 1
        if self._checkpoints % RESTORED_EVERY == 0:
            self._market = restored
        return {
            "commandSeq": self._market.command_seq,
            "commands": self._commands.text,
            "eventSeq": self._market.event_seq,
            "eventHash": self._market.event_hash,
            "events": self._events.text,
            "records": self._records.text,
            "fills": self._fills.text,
            "stateHash": state_hash(state),
            "snapshot": blake2b(state, digest_size=20).hexdigest(),
        }

    def _publish(self) -> None:
        """Event records as the matching agent packs them, and fills as the publisher writes them."""
        name = self._market.spec.market
        for record in pack(name, 1, self._hash_before, self._fresh):
            self._records.add(encode(record))
            for fill in fills_of_events(self._market.spec, read_trades(record)[0]):
                self._fills.add(name.encode(), encode_fill(fill))
                for header, value in fill_headers(fill):
                    self._fills.add(header.encode(), value)
        self._fresh, self._hash_before = [], self._market.event_hash


def play(
    market: str,
    commands: Iterable[bytes],
    every: int,
    failed: Container[int] = (),
    on_event: Callable[[bytes], None] | None = None,
) -> Iterable[tuple[Results, Sequence[tuple[bytes, list[bytes]]]]]:
    """Results after each given number of commands, with the last bytes of the chain (`chain`) and what was played since."""
    player, chain, played = Player(market, failed, on_event), "", []
    for seq, body in enumerate(commands, 1):
        try:
            end, events = player.take(body)
        except Exception as error:
            error.add_note(f"{market}: command {seq}: {body.decode()}")
            raise
        chain += end
        played.append((body, events))
        if len(played) == every:
            yield player.results() | {"chain": chain}, played
            chain, played = "", []
    if played:
        yield player.results() | {"chain": chain}, played
