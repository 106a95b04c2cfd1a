"""What a client subscribes to."""

from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec

from schemas.rest.bodies import View
from schemas.rest.market_data import CandleInterval

BookDepth = Literal[5, 10, 25, 50, 100, 500]
"""How many of the best levels of each side a client keeps. Few depths are offered: each is encoded once for all its clients."""
BOOK_DEPTH_DEFAULT: BookDepth = 50


class MarketChannel(StrEnum):
    """The public channels; each is of one market."""

    TRADES = "trades"
    BOOK = "book"
    BBO = "bbo"
    MARK = "mark"
    TICKER = "ticker"
    CANDLES = "candles"
    STATUS = "status"
    FUNDING = "funding"
    LIQUIDATIONS = "liquidations"

    @property
    def can_replay(self) -> bool:
        """Whether `from` names a sequence to begin at."""
        return self in {MarketChannel.TRADES, MarketChannel.FUNDING, MarketChannel.LIQUIDATIONS}


class MarketParameters(NamedTuple):
    """The parameters of a public channel: `depth` is of `book`, `interval` of `candles`, `from` of those that can replay."""

    market: str
    depth: BookDepth | None = None
    interval: CandleInterval | None = None
    from_: int | None = None


class Resume(View, frozen=True, omit_defaults=True):
    """A subscription that can be resumed, by `from`."""

    channel: str
    from_: str | int = msgspec.field(name="from")
    market: str | None = None
