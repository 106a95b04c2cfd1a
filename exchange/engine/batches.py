"""Long lists in events of bounded size."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

BATCH_MAX = 500


def in_batches(rows: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """The rows in their order, at most 500 at a time."""
    return (tuple(rows[start : start + BATCH_MAX]) for start in range(0, len(rows), BATCH_MAX))
