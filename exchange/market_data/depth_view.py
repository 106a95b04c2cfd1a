"""The best levels of a book as a client holds them: a snapshot once, then only what changes among them."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from exchange.market_data.book_levels import BookLevels, LevelSide
from schemas.orders import Side

_BELOW_ALL = -(2**63)


class Level(NamedTuple):
    """A price in ticks and the lots that rest there; no lots: the level is gone, or is none of the best any more."""

    price: int
    lots: int


class ChangedLevels(NamedTuple):
    """The levels to set, bids falling and asks rising."""

    bids: list[Level]
    asks: list[Level]


class DepthView:
    """The `depth` best levels of each side.

    A client that holds them and sets each changed level, or drops it at no lots, holds exactly the best levels again: what falls
    out of them is dropped, and what moves up into them is set.
    """

    def __init__(self, levels: BookLevels, depth: int) -> None:
        self.depth = depth
        self._levels = levels
        self._edges = {side: self._edge(of_side) for side, of_side in levels.sides.items()}

    def whole(self) -> ChangedLevels:
        """All of the best levels."""
        return ChangedLevels(
            *([Level(*each) for each in self._levels.sides[side].best(self.depth)] for side in (Side.BUY, Side.SELL))
        )

    def follow(self, changes: Mapping[Side, Mapping[int, int]]) -> ChangedLevels:
        """What to set after these changes of the levels: {price: lots before} a side."""
        return ChangedLevels(*(self._follow(side, changes[side]) for side in (Side.BUY, Side.SELL)))

    def _follow(self, side: Side, changed: Mapping[int, int]) -> list[Level]:
        if not changed:
            return []
        of_side = self._levels.sides[side]
        before, after = self._edges[side], self._edge(of_side)
        self._edges[side] = after
        found = dict(self._changed_within(of_side, changed, before, after))
        if before != after:
            found |= self._passed(of_side, changed, before, after)
        return [Level(price, found[price]) for price in sorted(found, reverse=side is Side.BUY)]

    @staticmethod
    def _changed_within(
        side: LevelSide, changed: Mapping[int, int], before: int, after: int
    ) -> Iterator[tuple[int, int]]:
        """The changed levels that are among the best now, and those that were among them and are not."""
        for price, lots_before in changed.items():
            rank = side.sign * price
            if rank >= after and (lots := side.lots.get(price, 0)):
                yield price, lots
            elif rank >= before and lots_before:
                yield price, 0

    @staticmethod
    def _passed(side: LevelSide, changed: Mapping[int, int], before: int, after: int) -> dict[int, int]:
        """The unchanged levels that the edge has passed: into the best levels, or out of them."""
        low, high = sorted((before, after))
        found: dict[int, int] = {}
        for rank in _ranks_between(side.ranks, low, high):
            price = side.sign * rank
            if price not in changed:
                found[price] = side.lots[price] if after < before else 0
        return found

    def _edge(self, side: LevelSide) -> int:
        """The rank of the last of the best levels; below all ranks where there are not as many."""
        return side.ranks[-self.depth] if len(side.ranks) >= self.depth else _BELOW_ALL


def _ranks_between(ranks: list[int], low: int, high: int) -> list[int]:
    """The ranks from `low` up to, not including, `high`."""
    return ranks[bisect_left(ranks, low) : bisect_left(ranks, high)]
