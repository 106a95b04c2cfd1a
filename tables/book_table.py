"""The table `book-{market}`: snapshots of a market as chunks, named by a head that is written last.

Keys contain the command sequence, so a zombie owner writes the same bytes under the same keys and does no harm:

    s/{commandSeq}/{i}    a chunk of the state, at most 512 KiB
    head/{commandSeq}     what the chunks contain, and the hash they must have
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import faust
import msgspec

from exchange.engine.log.snapshot_format import dump, state_hash
from exchange.engine.market import Market
from schemas.topics import book_table

CHUNK_BYTES = 512 * 1024
BEFORE_THE_FIRST_RECORD = -1
_HEAD = b"head/"

Entry = tuple[bytes, bytes]


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """Describes a snapshot: the state after command `command_seq` and event `event_seq`.

    `offset` is that of the command record it came from; `state_hash` covers neither the offset nor the epoch.
    """

    epoch: int
    chunks: int
    command_seq: int
    event_seq: int
    event_hash: str
    offset: int
    state_hash: str


class Snapshot(NamedTuple):
    """A head and the state it names."""

    head: Head
    state: bytes


_head_decoder = msgspec.json.Decoder(Head)


def declare_book_table(app: faust.App, market: str) -> Any:
    """The Faust table: one partition, keys and values as raw bytes."""
    return app.Table(book_table(market), partitions=1, key_type=bytes, value_type=bytes, use_partitioner=True)


def take_snapshot(market: Market, epoch: int, offset: int) -> Snapshot:
    """The market after the command record at `offset`."""
    return snapshot_of(dump(market), market, epoch, offset)


def snapshot_of(state: bytes, market: Market, epoch: int, offset: int) -> Snapshot:
    """A state already dumped, under its head."""
    head = Head(
        epoch=epoch,
        chunks=-(-len(state) // CHUNK_BYTES),
        command_seq=market.command_seq,
        event_seq=market.event_seq,
        event_hash=market.event_hash,
        offset=offset,
        state_hash=state_hash(state),
    )
    return Snapshot(head, state)


def snapshot_entries(taken: Snapshot) -> list[Entry]:
    """The entries of a snapshot, to be written in this order: its chunks, then the head that names them."""
    head, state = taken
    starts = range(0, len(state), CHUNK_BYTES)
    chunks = [(_chunk_key(head.command_seq, i), state[at : at + CHUNK_BYTES]) for i, at in enumerate(starts)]
    return [*chunks, (_head_key(head.command_seq), msgspec.json.encode(head))]


def keys_of_snapshot(entries: Mapping[bytes, bytes], command_seq: int) -> list[bytes]:
    """The keys of a snapshot to delete, its head first, so that no head ever names deleted chunks."""
    prefix = b"s/%d/" % command_seq
    return [_head_key(command_seq), *sorted(key for key in entries if key.startswith(prefix))]


def is_head(key: bytes) -> bool:
    """Whether an entry is the head of a snapshot."""
    return key.startswith(_HEAD)


def read_head(value: bytes) -> Head:
    """The head in an entry; raises msgspec.DecodeError if it is not one."""
    return _head_decoder.decode(value)


def heads(entries: Mapping[bytes, bytes]) -> list[Head]:
    """The heads in the table, newest first."""
    found = [read_head(value) for key, value in entries.items() if is_head(key)]
    return sorted(found, key=lambda head: -head.command_seq)


def verified_snapshots(entries: Mapping[bytes, bytes], epoch: int) -> list[Snapshot]:
    """The snapshots of this epoch whose chunks are complete and match the hash in their head, newest first."""
    candidates = [(head, state_of(entries, head)) for head in heads(entries) if head.epoch == epoch]
    return [Snapshot(head, state) for head, state in candidates if state_hash(state) == head.state_hash]


def chunk_keys(head: Head) -> list[bytes]:
    """The keys that a head names, in the order of the state."""
    return [_chunk_key(head.command_seq, i) for i in range(head.chunks)]


def state_of(entries: Mapping[bytes, bytes], head: Head) -> bytes:
    """The available chunks that a head names, joined: the state, if it matches the hash of the head."""
    chunks: Sequence[bytes | None] = [entries.get(key) for key in chunk_keys(head)]
    return b"".join(chunk for chunk in chunks if chunk is not None)


def _head_key(command_seq: int) -> bytes:
    return _HEAD + b"%d" % command_seq


def _chunk_key(command_seq: int, i: int) -> bytes:
    return b"s/%d/%d" % (command_seq, i)
