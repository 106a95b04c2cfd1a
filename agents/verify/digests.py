"""Digests by sequence in one flat array: millions of them take less memory than a dictionary would."""

from hashlib import blake2b

DIGEST_BYTES = 12


def digest(body: bytes) -> bytes:
    """The digest of a message: equal digests mean equal messages."""
    return blake2b(body, digest_size=DIGEST_BYTES).digest()


class Digests:
    """Digests of one width, by sequence."""

    def __init__(self, width: int = DIGEST_BYTES) -> None:
        self._width = width
        self._nothing = bytes(width)
        self._first = 0
        self._array = bytearray()

    @property
    def first(self) -> int:
        """The lowest sequence that was put; 0 when none was."""
        return self._first

    @property
    def last(self) -> int:
        """The highest sequence that was put; 0 when none was."""
        return self._first + len(self._array) // self._width - 1 if self._array else 0

    def get(self, seq: int) -> bytes | None:
        """The digest of a sequence; None when there is none."""
        if not self._first <= seq <= self.last:
            return None
        at = (seq - self._first) * self._width
        found = bytes(self._array[at : at + self._width])
        return None if found == self._nothing else found

    def put(self, seq: int, value: bytes) -> bool:
        """Store a digest; False if the sequence already has a different one, which is kept."""
        known = self.get(seq)
        if known is None:
            self._make_room(seq)
            at = (seq - self._first) * self._width
            self._array[at : at + self._width] = value
        return known is None or known == value

    def _make_room(self, seq: int) -> None:
        if not self._array:
            self._first = seq
        if seq < self._first:
            self._array[:0] = bytes((self._first - seq) * self._width)
            self._first = seq
        missing = seq - self._first + 1 - len(self._array) // self._width
        if missing > 0:
            self._array.extend(bytes(missing * self._width))
