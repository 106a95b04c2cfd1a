"""What waits for one connection: in order, bounded, and with only the newest of what may be conflated.

Frames are the encoded JSON texts. Many connections hold references to the same bytes, so that a message is encoded once.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from api.live.metrics import LIVE_CONFLATED
from schemas.live.subscriptions import Resume

Key: TypeAlias = tuple[str, ...]
"""What a frame is the newest of: the channel and its parameters, such as `("book", "BTC-PERP", "50")`."""
Finish: TypeAlias = Callable[[bytes], bytes]
BOOK_BYTES_MAX = 256 * 1024
"""Where more updates of a book wait, a snapshot replaces them."""


class _Slot:
    """A place in the line whose frame can change while it waits; `frame` is None once it is dropped."""

    __slots__ = ("frame", "key")

    def __init__(self, key: Key, frame: bytes | None) -> None:
        self.key = key
        self.frame = frame


class _Newest(_Slot):
    """A frame that the next one of its key replaces; `finish` completes it when it is sent."""

    __slots__ = ("finish",)

    def __init__(self, key: Key, frame: bytes | None, finish: Finish | None) -> None:
        super().__init__(key, frame)
        self.finish = finish


class _BookUpdate(_Slot):
    """An update of a book."""

    __slots__ = ()


class _Snapshot(_Slot):
    """A snapshot of a book, encoded when it is sent."""

    __slots__ = ("encode",)

    def __init__(self, key: Key, encode: Callable[[], bytes]) -> None:
        super().__init__(key, None)
        self.encode = encode


class _Marked(NamedTuple):
    """A frame that is never dropped, and where its subscription resumes after it."""

    frame: bytes
    subscription: Key
    resume: Resume


_Waiting: TypeAlias = "bytes | _Slot | _Marked"


class Outgoing:
    """The line of one connection; more than `bytes_max` may not wait. `on_waiting` is called when something waits, `on_overflow` once when too much does.

    `fail` ends the connection because of a bug of ours: its client begins again.
    """

    def __init__(
        self,
        on_waiting: Callable[[], None],
        on_overflow: Callable[[], None],
        on_failure: Callable[[], None],
        *,
        bytes_max: int,
    ) -> None:
        self._on_waiting, self._on_overflow, self.fail = on_waiting, on_overflow, on_failure
        self._bytes_max = bytes_max
        self._line: deque[_Waiting] = deque()
        self._newest: dict[Key, _Newest] = {}
        self._updates: dict[Key, deque[_BookUpdate]] = {}
        self._snapshots: dict[Key, _Snapshot] = {}
        self._book_bytes: dict[Key, int] = {}
        self._positions: dict[Key, Resume] = {}
        self.bytes_waiting = 0
        self.is_closed = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._line

    def append(self, frame: bytes, subscription: Key | None = None, resume: Resume | None = None) -> None:
        """Send a frame that is never dropped. `resume` is where its subscription goes on after it."""
        if subscription is None or resume is None:
            self._add(frame, len(frame))
        else:
            self._add(_Marked(frame, subscription, resume), len(frame))

    def replace(self, key: Key, frame: bytes, finish: Finish | None = None) -> None:
        """Send a frame; it takes the place of one with the same key that still waits. `finish` makes of it what is sent."""
        waiting = self._newest.get(key)
        if waiting is None or waiting.frame is None:
            slot = self._newest[key] = _Newest(key, frame, finish)
            self._add(slot, len(frame))
            return
        LIVE_CONFLATED.inc()
        self._grow(len(frame) - len(waiting.frame))
        waiting.frame, waiting.finish = frame, finish

    def update_book(self, key: Key, frame: bytes, resync: Callable[[], bytes]) -> None:
        """Send an update of a book, in order; where too many of this book wait, `resync` encodes the snapshot that replaces them."""
        if key in self._snapshots:
            LIVE_CONFLATED.inc()  # the snapshot will have it
            return
        waiting = self._book_bytes.get(key, 0) + len(frame)
        if waiting > BOOK_BYTES_MAX:
            self._drop_updates(key)
            LIVE_CONFLATED.inc()
            snapshot = self._snapshots[key] = _Snapshot(key, resync)
            self._add(snapshot, 0)
            return
        self._book_bytes[key] = waiting
        update = _BookUpdate(key, frame)
        self._updates.setdefault(key, deque()).append(update)
        self._add(update, len(frame))

    def resume_at(self, subscription: Key, resume: Resume) -> None:
        """Where a subscription begins: it resumes there as long as nothing of it was sent."""
        self._positions[subscription] = resume

    def forget(self, *keys: Key) -> None:
        """The subscriptions have ended: what waits of them is not sent."""
        for key in keys:
            self._positions.pop(key, None)
            self._drop_updates(key)
            if (newest := self._newest.pop(key, None)) is not None:
                self._empty(newest)
            if (snapshot := self._snapshots.pop(key, None)) is not None:
                snapshot.encode = _nothing

    def positions(self) -> list[Resume]:
        """Where each subscription resumes after what was sent."""
        return list(self._positions.values())

    def take(self, bytes_max: int) -> list[bytes]:
        """The frames to send next: until they have so many bytes, or all."""
        taken: list[bytes] = []
        size = 0
        while self._line and size < bytes_max:
            frame = self._sent(self._line.popleft())
            if frame:
                taken.append(frame)
                size += len(frame)
        return taken

    def overflow(self) -> None:
        """Too much waits: drop it, and let the connection be closed."""
        if not self.is_closed:
            self.close()
            self._on_overflow()

    def close(self) -> None:
        """Take nothing any more, and drop what waits."""
        self.is_closed = True
        self._line.clear()
        for kept in (self._newest, self._updates, self._snapshots, self._book_bytes):
            kept.clear()
        self.bytes_waiting = 0

    def _add(self, waiting: _Waiting, size: int) -> None:
        if self.is_closed:
            return
        self._line.append(waiting)
        self._grow(size)
        self._on_waiting()

    def _grow(self, size: int) -> None:
        self.bytes_waiting += size
        if self.bytes_waiting > self._bytes_max:
            self.overflow()

    def _sent(self, waiting: _Waiting) -> bytes | None:
        """The frame of what is sent now."""
        if isinstance(waiting, bytes):
            frame = waiting
        elif isinstance(waiting, _Marked):
            frame = waiting.frame
            if waiting.subscription in self._positions:
                self._positions[waiting.subscription] = waiting.resume
        else:
            return self._sent_slot(waiting)
        self.bytes_waiting -= len(frame)
        return frame

    def _sent_slot(self, slot: _Slot) -> bytes | None:
        if isinstance(slot, _Snapshot):
            if self._snapshots.get(slot.key) is slot:
                del self._snapshots[slot.key]
            return slot.encode()
        if (frame := slot.frame) is None:
            return None
        slot.frame = None
        self.bytes_waiting -= len(frame)
        if isinstance(slot, _BookUpdate):
            self._updates[slot.key].popleft()  # itself: updates of a book are sent in order
            self._book_bytes[slot.key] -= len(frame)
        if isinstance(slot, _Newest) and slot.finish is not None:
            return slot.finish(frame)
        return frame

    def _drop_updates(self, key: Key) -> None:
        for update in self._updates.pop(key, ()):
            LIVE_CONFLATED.inc()
            self._empty(update)
        self._book_bytes.pop(key, None)

    def _empty(self, slot: _Slot) -> None:
        if slot.frame is not None:
            self.bytes_waiting -= len(slot.frame)
            slot.frame = None


def _nothing() -> bytes:
    return b""
