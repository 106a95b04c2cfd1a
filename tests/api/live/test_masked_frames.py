"""Frames of a client that are not masked never reach the parser, however the bytes are cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from api.live.session.masked_frames import MaskedFrames
from tests.api.live.raw_socket import FINAL, TEXT, framed

PAYLOADS = st.sampled_from([0, 1, 125, 126, 300, 65_535, 65_536]).map(lambda size: b"x" * size)


class Recorded:
    """A parser that keeps what it gets."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Keep it."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing to keep."""


@given(st.lists(PAYLOADS, max_size=5), st.lists(st.integers(0, 70_000), max_size=8), st.booleans())
def test_the_parser_gets_masked_frames_as_they_are(payloads: list[bytes], cuts: list[int], ends_unmasked: bool) -> None:
    """Each byte, in order; of a frame that is not masked none, but one that breaks the protocol."""
    masked = b"".join(framed(payload, FINAL | TEXT, is_masked=True) for payload in payloads)
    more = framed(b"{}", FINAL | TEXT, is_masked=False) if ends_unmasked else b""
    parser = Recorded()
    frames = MaskedFrames(parser)
    sent = masked + more
    places = [0, *sorted(cut % (len(sent) + 1) for cut in cuts), len(sent)]
    for start, end in itertools.pairwise(places):
        frames.feed_data(sent[start:end])
        if end >= len(masked) + 2:
            break
    assert parser.data == masked + (b"\xf1\x80" if ends_unmasked else b"")


def test_every_cut_into_single_bytes_is_passed_on() -> None:
    """A head that is not whole waits for the rest."""
    parser = Recorded()
    frames = MaskedFrames(parser)
    sent = framed(b"y" * 200, FINAL | TEXT, is_masked=True) + framed(b"z", FINAL | TEXT, is_masked=True)
    for number in range(len(sent)):
        frames.feed_data(sent[number : number + 1])
    assert parser.data == sent
