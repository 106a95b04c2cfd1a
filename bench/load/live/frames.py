"""WebSocket frames as lean as Python allows (RFC 6455): texts out, masked with zeros so that they are sent as they are; frames in."""

from collections.abc import Iterator

PONG = b"\x8a\x80\0\0\0\0"
BEGINS = b'{"op":"'
"""How every message begins, and nothing within one."""
TEXT_OPCODE, CLOSE_OPCODE = 1, 8
_TEXT, _MASKED, _NO_MASK = 0x81, 0x80, b"\0\0\0\0"
_SHORT_MAX, _MEDIUM = 125, 126


def text_frame(text: bytes) -> bytes:
    """A text of less than 64 KiB, as a client sends it."""
    size = len(text)
    if size <= _SHORT_MAX:
        return bytes((_TEXT, _MASKED | size)) + _NO_MASK + text
    return bytes((_TEXT, _MASKED | _MEDIUM)) + size.to_bytes(2, "big") + _NO_MASK + text


class Frames:
    """Splits what a server sends into frames."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that is whole."""
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= _MEDIUM:
                width = 2 if size == _MEDIUM else 8
                size, start = int.from_bytes(data[start : start + width], "big"), start + width
            if start > end or start + size > end:
                break
            yield data[at] & 0x0F, data[start : start + size]
            at = start + size
        self._buffer = data[at:]


class BeginsCounted:
    """Counts messages by how they begin, wherever the bytes are cut: without splitting them, as a thousand connections need."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> int:
        """How many messages of ours have begun by now that had not before."""
        seam = self._tail + data[: len(BEGINS) - 1]
        self._tail = (self._tail + data if len(data) < len(BEGINS) else data)[1 - len(BEGINS) :]
        return data.count(BEGINS) + seam.count(BEGINS)
