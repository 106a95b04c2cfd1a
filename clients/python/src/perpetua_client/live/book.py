"""A market's book, kept from the messages of the socket, and checked."""

import zlib
from bisect import insort
from decimal import Decimal

from perpetua_client.errors import SequenceGap
from perpetua_client.messages import BookSnapshotMessage, BookUpdateMessage
from perpetua_client.wire import decimal_text

CHECKED_LEVELS = 25
Levels = dict[Decimal, Decimal]


class Book:
    """The best levels of both sides as of event `sequence` of the market."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.checked = 0
        """How many checksums were compared."""
        self._bids: Levels = {}
        self._asks: Levels = {}
        self._bid_prices: list[Decimal] = []
        self._ask_prices: list[Decimal] = []

    @property
    def bids(self) -> list[tuple[Decimal, Decimal]]:
        """Price and quantity, the highest price first."""
        return [(price, self._bids[price]) for price in reversed(self._bid_prices)]

    @property
    def asks(self) -> list[tuple[Decimal, Decimal]]:
        """Price and quantity, the lowest price first."""
        return [(price, self._asks[price]) for price in self._ask_prices]

    def replace(self, message: BookSnapshotMessage) -> None:
        """Take over a snapshot."""
        self._bids, self._asks = dict(message.bids), dict(message.asks)
        self._bid_prices, self._ask_prices = sorted(self._bids), sorted(self._asks)
        self._is_as_of(message)

    def apply(self, message: BookUpdateMessage) -> None:
        """Set and remove levels. Raises SequenceGap when the update does not follow."""
        if message.previous != self.sequence:
            raise SequenceGap(f"the book is as of {self.sequence}, the update follows {message.previous}")
        for changes, levels, prices in (
            (message.bids, self._bids, self._bid_prices),
            (message.asks, self._asks, self._ask_prices),
        ):
            for price, quantity in changes:
                _set(levels, prices, price, quantity)
        self._is_as_of(message)

    def checksum(self) -> int:
        """The CRC-32 that the exchange sends with snapshots and each hundredth update."""
        best = [*self.bids[:CHECKED_LEVELS], *self.asks[:CHECKED_LEVELS]]
        text = ":".join(decimal_text(number) for level in best for number in level)
        return zlib.crc32(text.encode())

    def _is_as_of(self, message: BookSnapshotMessage | BookUpdateMessage) -> None:
        self.sequence = message.sequence
        if message.checksum is not None:
            if message.checksum != self.checksum():
                raise SequenceGap(f"the checksum differs at {message.sequence}")
            self.checked += 1


def _set(levels: Levels, prices: list[Decimal], price: Decimal, quantity: Decimal) -> None:
    if quantity:
        if price not in levels:
            insort(prices, price)
        levels[price] = quantity
    elif levels.pop(price, None) is not None:
        prices.remove(price)
