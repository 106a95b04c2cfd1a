"""A keep-alive connection as lean as Python allows: prebuilt bytes out, status and length read, one request at a time."""

import asyncio
from collections.abc import Callable

_LENGTH = b"content-length:"

Answered = Callable[["Connection", int, bytes], None]


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection. Who sends is called back with status and bytes of the answer, head included.

    An answer that is cut off is reported as status 0.
    """

    __slots__ = ("_answered", "_buffer", "_lost", "_transport", "cancel_request", "place")

    def __init__(self, place: int, lost: Callable[["Connection"], None]) -> None:
        self.place = place
        self.cancel_request = b""
        self._buffer = b""
        self._answered: Answered | None = None
        self._lost = lost
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport  # type: ignore[assignment]  # a socket's transport, as it always is

    def send(self, request: bytes, answered: Answered) -> None:
        """Send a request; no other may be in flight."""
        self._answered = answered
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Hand on the answer once it is whole."""
        if self._buffer:
            data = self._buffer + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or len(data) < head + 4 + _length(data, head):
            self._buffer = data
            return
        self._buffer = b""
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(self, int(data[9:12]), data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        """A request in flight has no answer."""
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(self, 0, b"")
        self._lost(self)

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()


def _length(data: bytes, head: int) -> int:
    lowered = data[:head].lower()
    at = lowered.find(_LENGTH)
    if at < 0:
        return 0
    end = lowered.find(b"\r\n", at)
    return int(lowered[at + len(_LENGTH) : end if end > 0 else head])


def header_of(answer: bytes, name: bytes) -> bytes:
    """The value of a header of an answer, named in lower case; empty where there is none."""
    head = answer[: answer.find(b"\r\n\r\n") + 2]
    at = head.lower().find(b"\r\n" + name + b": ")
    return head[at + len(name) + 4 : head.find(b"\r\n", at + 2)] if at >= 0 else b""
