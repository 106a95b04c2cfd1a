"""Lets aiohttp's parser, which reads any frame, see only masked ones (RFC 6455, section 5.1).

In place of the first frame that is not masked the parser gets one that breaks the protocol, and closes with 1002.
"""

from typing import Protocol

_MASKED = 0x80
_LENGTH = 0x7F
_MASK_BYTES = 4
_LENGTH_BYTES = {126: 2, 127: 8}
_BROKEN = b"\xf1\x80"
"""All reserved bits are set."""


class Parser(Protocol):
    """Takes the bytes of a connection; `feed_data` says whether it is over, and what is left."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """The next bytes."""

    def feed_eof(self) -> None:
        """No more bytes come."""


class MaskedFrames:
    """Follows the heads of the frames; a head goes to the parser once it is whole."""

    __slots__ = ("_held", "_parser", "_rest")

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._held = b""
        self._rest = 0
        """How many bytes of the current frame are to come."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """The next bytes of the client."""
        data = self._held + data
        head = self._rest
        while (end := _end_after(data, head)) is not None:
            if not data[head + 1] & _MASKED:
                return self._parser.feed_data(data[:head] + _BROKEN)
            head = end
        self._rest, self._held = max(0, head - len(data)), data[head:]
        return self._parser.feed_data(data[:head])

    def feed_eof(self) -> None:
        """The client sends no more."""
        self._parser.feed_eof()


def _end_after(data: bytes, head: int) -> int | None:
    """Where the frame whose head begins there ends; None while the head is not whole."""
    if len(data) < head + 2:
        return None
    length, start = data[head + 1] & _LENGTH, head + 2
    if width := _LENGTH_BYTES.get(length):
        if len(data) < start + width:
            return None
        length, start = int.from_bytes(data[start : start + width], "big"), start + width
    return start + _MASK_BYTES + length
