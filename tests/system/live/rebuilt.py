"""What a client has built from the frames of the socket alone, as docs/live.md and the AsyncAPI document say.

Each part fails at the first frame that does not fit what it has.
"""

import zlib
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Frame = dict[str, Any]
Levels = dict[str, str]
BEST_OF_CHECKSUM = 25
KEPT_BOOKS = 400


@dataclass
class BookAt:
    """A book as of an event of its market, best levels first."""

    sequence: int
    bids: list[list[str]]
    asks: list[list[str]]


@dataclass
class RebuiltBook:
    """The best levels of a market, and what they were of late, without a gap."""

    depth: int
    bids: Levels = field(default_factory=dict)
    asks: Levels = field(default_factory=dict)
    sequence: int | None = None
    kept: deque[BookAt] = field(default_factory=lambda: deque(maxlen=KEPT_BOOKS))
    checked: int = 0
    resyncs: int = 0

    def begin(self) -> None:
        """A new subscription: nothing follows from what was."""
        self.sequence = None
        self.kept.clear()

    def on_snapshot(self, frame: Frame) -> None:
        """Replace everything."""
        assert frame["depth"] == self.depth
        assert (self.sequence is None) != frame.get("resync", False), (
            "a second snapshot says `resync`, the first does not"
        )
        self.resyncs += frame.get("resync", False)
        self.kept.clear()
        self.bids, self.asks = dict(frame["bids"]), dict(frame["asks"])
        assert frame["bids"] == _best(self.bids, falling=True)
        assert frame["asks"] == _best(self.asks, falling=False)
        self._is_now(frame)

    def on_update(self, frame: Frame) -> None:
        """Set and remove levels."""
        assert frame["previous"] == self.sequence, f"a gap: at {self.sequence}, {frame}"
        assert frame["sequence"] > frame["previous"], frame
        for levels, changes in ((self.bids, frame["bids"]), (self.asks, frame["asks"])):
            for price, quantity in changes:
                if quantity == "0":
                    assert levels.pop(price, None) is not None, f"{price} is removed and was not there: {frame}"
                else:
                    levels[price] = quantity
        self._is_now(frame)

    def at(self, sequence: int) -> BookAt | None:
        """The book as of this event, where it is known to have been so: something after it has come too."""
        for before, after in zip(self.kept, list(self.kept)[1:], strict=False):
            if before.sequence <= sequence < after.sequence:
                return before
        return None

    def _is_now(self, frame: Frame) -> None:
        self.sequence = frame["sequence"]
        now = BookAt(frame["sequence"], _best(self.bids, falling=True), _best(self.asks, falling=False))
        assert len(now.bids) <= self.depth >= len(now.asks), "more levels than asked for"
        assert not now.bids or not now.asks or Decimal(now.bids[0][0]) < Decimal(now.asks[0][0]), f"crossed: {frame}"
        if frame.get("checksum") is not None:
            assert frame["checksum"] == _checksum(now), frame
            self.checked += 1
        self.kept.append(now)


@dataclass
class RebuiltTrades:
    """Every trade of a market since the first subscription."""

    first: int | None = None
    trades: list[Frame] = field(default_factory=list)

    @property
    def next(self) -> int | None:
        """From where to go on."""
        return None if self.first is None else self.first + len(self.trades)

    def on_subscribed(self, frame: Frame) -> None:
        """Of a market that had this many trades; later, of the last that is there already."""
        if self.first is None:
            self.first = frame["sequence"] + 1
        else:
            assert frame["sequence"] == self.first + len(self.trades) - 1, (frame, self.next)

    def on_trade(self, frame: Frame) -> None:
        """The next one and no other."""
        assert frame["sequence"] == frame["data"]["sequence"] == self.next, (frame, self.next)
        self.trades.append(frame["data"])


@dataclass
class RebuiltAccount:
    """Orders, fills, positions and the balance of an account; `cursors` of the four channels."""

    orders: dict[str, Frame] = field(default_factory=dict)
    fills: dict[tuple[str, str], Frame] = field(default_factory=dict)
    positions: dict[str, Frame | None] = field(default_factory=dict)
    balance: Frame | None = None
    cursors: dict[str, str] = field(default_factory=dict)
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    are_current: set[str] = field(default_factory=set)

    def on_frame(self, frame: Frame) -> None:
        """Any frame of the four channels."""
        match frame["op"]:
            case "order":
                self._is_not_older(("order", frame["data"]["orderId"]), frame)
                self.orders[frame["data"]["orderId"]] = frame["data"]
            case "fill":
                key = (frame["data"]["tradeId"], frame["data"]["liquidityRole"])
                assert key not in self.fills, f"twice: {frame}"
                self._is_not_older(("fills", frame["market"]), frame)
                self.fills[key] = frame["data"]
            case "position":
                self._is_not_older(("position", frame["market"]), frame)
                self.positions[frame["market"]] = frame["data"]
            case "balance":
                for market, sequence in frame["sequences"].items():
                    self._is_not_older(("balance", market), {"sequence": sequence})
                self.balance = frame["data"]
            case "current":
                self.are_current.add(frame["channel"])
        self.cursors[frame["channel"]] = frame["cursor"]

    def held(self, market: str) -> Decimal:
        """What the fills add up to."""
        ours = [fill for fill in self.fills.values() if fill["marketId"] == market]
        return sum((Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1) for fill in ours), Decimal())

    def _is_not_older(self, what: tuple[str, str], frame: Frame) -> None:
        assert frame["sequence"] >= self.sequences.get(what, 0), f"older than what was told of {what}: {frame}"
        self.sequences[what] = frame["sequence"]


def _best(levels: Levels, *, falling: bool) -> list[list[str]]:
    return [[price, levels[price]] for price in sorted(levels, key=Decimal, reverse=falling)]


def _checksum(book: BookAt) -> int:
    best = [*book.bids[:BEST_OF_CHECKSUM], *book.asks[:BEST_OF_CHECKSUM]]
    return zlib.crc32(":".join(f"{price}:{quantity}" for price, quantity in best).encode())
