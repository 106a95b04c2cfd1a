import random

from bench.load.live.frames import BeginsCounted, Frames, text_frame

TEXTS = [
    b'{"op":"ping"}',
    b'{"op":"trade","data":"%b"}' % (b"x" * 200),
    b'{"op":"snapshot","bids":"%b"}' % (b"y" * 70_000),
]


def _sent_by_a_server() -> bytes:
    heads = [
        bytes((0x81, 13)),
        b"\x81\x7e" + len(TEXTS[1]).to_bytes(2, "big"),
        b"\x81\x7f" + len(TEXTS[2]).to_bytes(8, "big"),
    ]
    return b"".join(head + text for head, text in zip(heads, TEXTS, strict=True))


def _cut(data: bytes, seed: int) -> list[bytes]:
    draw, pieces = random.Random(seed), []  # noqa: S311 - cuts that can be repeated, not a secret
    while data:
        size = draw.choice((1, 2, 3, 6, 7, 8, 50_000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def test_frames_are_whole_wherever_the_bytes_are_cut() -> None:
    """One, two and eight bytes of length."""
    for seed in range(20):
        frames = Frames()
        assert [found for piece in _cut(_sent_by_a_server(), seed) for found in frames.feed(piece)] == [
            (1, text) for text in TEXTS
        ]


def test_messages_are_counted_wherever_the_bytes_are_cut() -> None:
    """Each once, also where a cut goes through its beginning."""
    for seed in range(20):
        counted = BeginsCounted()
        assert sum(counted.feed(piece) for piece in _cut(2 * _sent_by_a_server(), seed)) == 6


def test_a_text_is_sent_unchanged_behind_a_mask_of_zeros() -> None:
    """RFC 6455, section 5.2: 126 announces a length of two bytes."""
    assert text_frame(b"abc") == b"\x81\x83\0\0\0\0abc"
    assert text_frame(b"a" * 126) == b"\x81\xfe\0\x7e\0\0\0\0" + b"a" * 126
