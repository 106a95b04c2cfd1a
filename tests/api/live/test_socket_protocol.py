"""The rules of RFC 6455 that a client can break, and what the connection is closed with."""

import struct

import pytest

from tests.api.exchange import Exchange
from tests.api.live.raw_socket import CLOSE, CONTINUATION, FINAL, PING, PONG, TEXT, RawSocket

BAD = b"\xc0\xaf"
"""No UTF-8: an overlong form."""


def _closing(code: int, reason: bytes = b"") -> tuple[int, bytes]:
    return FINAL | CLOSE, struct.pack("!H", code) + reason


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([(FINAL | TEXT, BAD)], 1007, id="a text that is no UTF-8"),
        pytest.param([(FINAL | TEXT, b'{"op":"ping","other":"' + BAD + b'"}')], 1007, id="in a field nobody knows"),
        pytest.param([(TEXT, b'"\xce'), (CONTINUATION, BAD), (FINAL, b'"')], 1007, id="in a fragment"),
        pytest.param([_closing(1000, BAD)], 1007, id="in the reason of a close"),
        pytest.param([_closing(1000, b"bye")], 1000, id="a close"),
        pytest.param([(FINAL | CLOSE, b"")], 1000, id="a close without a code"),
        pytest.param([_closing(4999)], 1000, id="a close with a code of its own"),
        pytest.param([(FINAL | CLOSE, b"\x03")], 1002, id="a close of one byte"),
        *(pytest.param([_closing(code)], 1002, id=f"a close with {code}") for code in (0, 999, 1004, 1005, 1006, 1015)),
        *(
            pytest.param([(FINAL | bit | TEXT, b"{}")], 1002, id=f"the reserved bit {bit:x}")
            for bit in (0x10, 0x20, 0x40)
        ),
        *(pytest.param([(FINAL | code, b"")], 1002, id=f"the reserved opcode {code:x}") for code in (3, 7, 11, 15)),
        pytest.param([(FINAL, b"{}")], 1002, id="a continuation of nothing"),
        pytest.param([(TEXT, b"{"), (FINAL | TEXT, b"{}")], 1002, id="a message within a message"),
        pytest.param([(PING, b"")], 1002, id="a ping in fragments"),
        pytest.param([(FINAL | PING, b"x" * 126)], 1002, id="a ping of 126 bytes"),
    ],
)
async def test_a_connection_ends_with_the_code_of_the_rule(
    exchange: Exchange, frames: list[tuple[int, bytes]], code: int
) -> None:
    """Nothing else is sent, and a ping after it is not answered."""
    raw = await RawSocket.open(exchange)
    for first_byte, payload in [*frames, (FINAL | PING, b"after")]:
        await raw.send_frame(payload, first_byte)
    assert [(frame.opcode, frame.code) for frame in await raw.frames()] == [(CLOSE, code)]


async def test_control_frames_come_between_fragments(exchange: Exchange) -> None:
    """Pings are answered with their payload before the message is whole; characters may be split between fragments."""
    raw = await RawSocket.open(exchange)
    await raw.send_frame(b'{"op":"ping","id":"\xce', TEXT)
    await raw.send_frame(b"one", FINAL | PING)
    await raw.send_frame(b"unasked", FINAL | PONG)
    await raw.send_frame(b"\xba", CONTINUATION)
    await raw.send_frame(b"x" * 125, FINAL | PING)
    await raw.send_frame(b'"}', FINAL)
    await raw.send_frame(*reversed(_closing(1000)))
    first, second, result, end = await raw.frames()
    assert [first, second] == [(PONG, b"one"), (PONG, b"x" * 125)]
    assert result.opcode == TEXT
    assert '"id":"κ"'.encode() in result.payload
    assert (end.opcode, end.code) == (CLOSE, 1000)


async def test_who_sends_no_more_is_closed(exchange: Exchange) -> None:
    """A half-closed connection has ended without a closing handshake."""
    raw = await RawSocket.open(exchange)
    raw.half_close()
    assert [frame.opcode for frame in await raw.frames()] in ([], [CLOSE])
