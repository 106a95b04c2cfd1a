"""The table `book-{market}`: snapshots of a market as chunks, named by a head that is written last.

Keys contain the command sequence, so a zombie owner writes the same bytes under the same keys and does no harm:

    s/{commandSeq}/{i}    a chunk of the state, at most 512 KiB
    head/{commandSeq}     what the chunks contain, and the hash they must have
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from exchange.engine.log.snapshot_format import dump, market_of, state_hash
from exchange.engine.market import Market
from schemas.topics import book_changelog_topic, book_table
from schemas.wire import UNDECODABLE

if TYPE_CHECKING:
    import faust

CHUNK_BYTES = 512 * 1024
BEFORE_THE_FIRST_RECORD = -1
_HEAD = b"head/"
_KEY = re.compile(rb"head/\d{1,19}|s/\d{1,19}/\d{1,9}")

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


def declare_book_table(app: "faust.App", market: str) -> Any:
    """The Faust table: one partition, keys and values as raw bytes. Its changelog is the market's, whatever the app's name."""
    changelog = app.topic(book_changelog_topic(market), key_type=bytes, value_type=bytes, partitions=1, compacting=True)
    return app.Table(
        book_table(market),
        partitions=1,
        key_type=bytes,
        value_type=bytes,
        use_partitioner=True,
        changelog_topic=changelog,
    )


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
    """The head in an entry; raises an error of schemas.wire.UNDECODABLE if it is not one."""
    return _head_decoder.decode(value)


def is_entry(key: bytes | None, value: bytes | None) -> bool:
    """Whether an engine could have written this entry; a deletion of one of its keys counts."""
    if key is None or not _KEY.fullmatch(key):
        return False
    return value is None or not is_head(key) or _head_or_none(value) is not None


def heads(entries: Mapping[bytes, bytes]) -> list[Head]:
    """The heads in the table, newest first; entries that are not ours are passed."""
    found = [head for key, value in entries.items() if is_head(key) and (head := _head_or_none(value)) is not None]
    return sorted(found, key=lambda head: -head.command_seq)


def verified_snapshots(entries: Mapping[bytes, bytes], market: str, epoch: int) -> list[Snapshot]:
    """The market's snapshots of this epoch whose chunks are complete and match the hash in their head, newest first."""
    found = [Snapshot(head, state_of(entries, head)) for head in heads(entries) if head.epoch == epoch]
    return [each for each in found if _is_complete(each) and market_of(each.state) == market]


def is_of_another_market(entries: Mapping[bytes, bytes], market: str, value: bytes) -> bool:
    """Whether the head in this entry names a complete snapshot of another market than this one."""
    head = _head_or_none(value)
    if head is None:
        return False
    snapshot = Snapshot(head, state_of(entries, head))
    return _is_complete(snapshot) and market_of(snapshot.state) != market


def chunk_keys(head: Head) -> list[bytes]:
    """The keys that a head names, in the order of the state."""
    return [_chunk_key(head.command_seq, i) for i in range(head.chunks)]


def state_of(entries: Mapping[bytes, bytes], head: Head) -> bytes:
    """The available chunks that a head names, joined: the state, if it matches the hash of the head."""
    if head.chunks > len(entries):  # a head that is not ours may name any number
        return b""
    chunks: Sequence[bytes | None] = [entries.get(key) for key in chunk_keys(head)]
    return b"".join(chunk for chunk in chunks if chunk is not None)


def _is_complete(snapshot: Snapshot) -> bool:
    return state_hash(snapshot.state) == snapshot.head.state_hash


def _head_or_none(value: bytes) -> Head | None:
    try:
        return read_head(value)
    except UNDECODABLE:
        return None


def _head_key(command_seq: int) -> bytes:
    return _HEAD + b"%d" % command_seq


def _chunk_key(command_seq: int, i: int) -> bytes:
    return b"s/%d/%d" % (command_seq, i)
