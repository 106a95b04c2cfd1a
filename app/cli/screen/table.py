"""A table that fits a number of columns: cells wrap, and where that is not enough the least important columns are left out."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

GAP = 2
WORD_MAX = 30
"""A longer word may be broken: no column needs to be wider because of it."""


class Cell(NamedTuple):
    """One line of a cell, padded to its column: the row and the column that it belongs to (row 0 has the names)."""

    row: int
    column: int
    text: str


class Table:
    """Rows of text under names, the most important column first, as lines of at most `width` characters (None: of any length)."""

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> None:
        self._cells = [list(names), *(list(row) for row in rows)]
        self._widths = _widths([*zip(*self._cells, strict=True)], width)
        self.left_out = list(names[len(self._widths) :])
        """The names of the columns for which there is no room."""

    def lines(self) -> Iterator[list[Cell]]:
        """The cells of each line, from left to right."""
        for row, cells in enumerate(self._cells):
            wrapped = [_wrapped(cell, width) for cell, width in zip(cells, self._widths, strict=False)]
            for line in range(max(map(len, wrapped))):
                texts = (parts[line] if line < len(parts) else "" for parts in wrapped)
                padded = zip(texts, self._widths, strict=True)
                yield [Cell(row, column, text.ljust(width)) for column, (text, width) in enumerate(padded)]


def _widths(columns: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """The width of each column that is shown: what its cells need, less where the line is too short."""
    natural = [max(map(len, column)) for column in columns]
    if width is None or _total(natural) <= width:
        return natural
    least = [min(need, max(map(_longest_word, column))) for need, column in zip(natural, columns, strict=True)]
    while len(least) > 1 and _total(least) > width:
        least.pop()
    spare = max(0, width - _total(least))
    widths = []
    for narrow, need in zip(least, natural, strict=False):
        more = min(spare, need - narrow)
        spare -= more
        widths.append(min(width, narrow + more))
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _longest_word(cell: str) -> int:
    return min(WORD_MAX, max(map(len, cell.split()), default=0))


def _wrapped(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, max(1, width), break_on_hyphens=False) or [""] if len(cell) > width else [cell]
