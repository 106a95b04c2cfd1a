"""What subscribers of a book see of it: the levels to a depth, and the best bid and ask."""

import zlib
from collections.abc import Iterable

import msgspec

from api.live.feeds.subscribers import Subscribers
from api.live.metrics import LIVE_ENCODED
from exchange.market_data.book_levels import BookLevels
from exchange.market_data.depth_view import ChangedLevels, DepthView, Level
from schemas.live.market_messages import BestPrices, BookSnapshot, BookUpdate
from schemas.live.subscriptions import BookDepth
from schemas.market import MarketSpec
from schemas.orders import Side
from store.queries.formatting import price_text, quantity_text

CHECKSUM_LEVELS = 25
CHECKSUM_EACH = 100
_BIDS_AND_ASKS = (Side.BUY, Side.SELL)
_encode = msgspec.json.Encoder().encode


def checksum(bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> int:
    """The CRC-32 of `price:quantity` of the bids, best first, then of the asks, best first, joined by `:`."""
    return zlib.crc32(":".join(text for level in (*bids, *asks) for text in level).encode())


class BookView:
    """The book to one depth, and who follows it. `sequence` is that of the last message: the next one names it as `previous`."""

    def __init__(self, spec: MarketSpec, levels: BookLevels, depth: BookDepth, sequence: int, time: str) -> None:
        self._spec = spec
        self._view = DepthView(levels, depth)
        self._depth: BookDepth = depth
        self.sequence = sequence
        self.time = time
        self.subscribers: Subscribers = {}
        self._updates = 0
        self._snapshot: bytes | None = None
        self._frozen: ChangedLevels | None = None

    def follow(self, changes: dict[Side, dict[int, int]], sequence: int, time: str) -> None:
        """Send what has changed among the levels of this view."""
        self._frozen = None
        changed = self._view.follow(changes)
        if not (changed.bids or changed.asks):
            return
        previous, self.sequence, self.time, self._snapshot = self.sequence, sequence, time, None
        self._updates += 1
        if not self.subscribers:
            return
        bids, asks = self._texts(changed)
        has_checksum = self._updates % CHECKSUM_EACH == 0
        frame = _encode(
            BookUpdate(
                channel="book",
                market=self._spec.market,
                depth=self._depth,
                sequence=sequence,
                previous=previous,
                time=time,
                bids=bids,
                asks=asks,
                checksum=self._checksum(*self._texts(self._view.whole())) if has_checksum else None,
            )
        )
        LIVE_ENCODED.labels("book").inc()
        for line, key in self.subscribers:
            line.update_book(key, frame, self.resync)

    def freeze(self) -> None:
        """The levels are about to be in the middle of a command: who fell behind gets those of now, until `follow`."""
        self._frozen = self._view.whole()

    def snapshot(self) -> bytes:
        """All levels of this view; encoded once for all who begin before they change."""
        if self._snapshot is None:
            self._snapshot = self._encode_snapshot(resync=False)
        return self._snapshot

    def resync(self) -> bytes:
        """The snapshot for one who fell behind."""
        return self._encode_snapshot(resync=True)

    def _encode_snapshot(self, *, resync: bool) -> bytes:
        bids, asks = self._texts(self._frozen or self._view.whole())
        LIVE_ENCODED.labels("book").inc()
        return _encode(
            BookSnapshot(
                channel="book",
                market=self._spec.market,
                depth=self._depth,
                sequence=self.sequence,
                time=self.time,
                bids=bids,
                asks=asks,
                checksum=self._checksum(bids, asks),
                resync=resync,
            )
        )

    @staticmethod
    def _checksum(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> int:
        return checksum(bids[:CHECKSUM_LEVELS], asks[:CHECKSUM_LEVELS])

    def _texts(self, levels: ChangedLevels) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        return _texts(self._spec, levels.bids), _texts(self._spec, levels.asks)


class BestView:
    """The best bid and ask, as last sent."""

    def __init__(self) -> None:
        self.subscribers: Subscribers = {}
        self.frame = b""
        self._shown: tuple[Level | None, ...] = ()

    def follow(self, spec: MarketSpec, levels: BookLevels, sequence: int, time: str) -> None:
        """Send them if they have changed."""
        best = tuple(next((Level(*each) for each in levels.sides[side].best(1)), None) for side in _BIDS_AND_ASKS)
        if best == self._shown:
            return
        self._shown = best
        bid, ask = (None if level is None else _texts(spec, [level])[0] for level in best)
        self.frame = _encode(
            BestPrices(channel="bbo", market=spec.market, sequence=sequence, time=time, bid=bid, ask=ask)
        )
        LIVE_ENCODED.labels("bbo").inc()
        for line, key in self.subscribers:
            line.replace(key, self.frame)


def _texts(spec: MarketSpec, levels: Iterable[Level]) -> list[tuple[str, str]]:
    return [(price_text(spec, price), quantity_text(spec, lots)) for price, lots in levels]
