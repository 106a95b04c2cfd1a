"""What a deduplicating consumer keeps of the records of a public fill stream."""

from collections.abc import Iterable

from schemas.fills import decode_fill


def kept_by_sequence(bodies: Iterable[bytes]) -> dict[int, bytes]:
    """Each fill once, by its sequence; fails at a hole, and where a record comes again with other bytes."""
    kept: dict[int, bytes] = {}
    last = 0
    for body in bodies:
        sequence = decode_fill(body).sequence
        assert not kept or sequence <= last + 1, f"fill {last + 1} is missing before {sequence}"
        assert kept.setdefault(sequence, body) == body, f"fill {sequence} was published twice, and not the same"
        last = max(last, sequence)
    return kept
