"""What the exchange sends about markets on the socket: one struct for each `op`, of the public channels.

Prices, quantities, money and times are texts as in REST. `sequence` is the market's trade counter in `trade` and `liquidation`, and
the sequence of its events in all others: what the message shows is exact as of that trade or event.
"""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.fills import PublicFill
from schemas.live.subscriptions import BookDepth, MarketChannel
from schemas.market import MarketStatus
from schemas.rest.bodies import TimeText, View
from schemas.rest.market_data import CandleInterval, CandleView, TickerView
from schemas.rest.markets import FundingView

BookLevel = Annotated[tuple[str, str], Meta(description="Price and quantity; quantity 0 removes the level")]
Checksum = Annotated[
    int,
    Meta(
        ge=0,
        lt=2**32,
        description="CRC-32 of the text `price:quantity:price:quantity…` of the best 25 bids, best first, then the best 25 asks",
    ),
]


class Subscribed(View, frozen=True, omit_defaults=True, tag_field="op", tag="subscribed"):
    """The first message of a subscription. `sequence`, where there can be a `from`: what comes next follows it.

    It is the one before `from`, or without `from` the last there was.
    """

    channel: MarketChannel
    market: str
    depth: BookDepth | None = None
    interval: CandleInterval | None = None
    sequence: int | None = None


class BookSnapshot(View, frozen=True, omit_defaults=True, tag_field="op", tag="snapshot"):
    """The best levels of a book, bids falling and asks rising. It replaces what the client has.

    `resync`: the client fell behind, or the exchange read the book again; updates in between were left out.
    """

    channel: Literal["book"]
    market: str
    depth: BookDepth
    sequence: int
    time: TimeText
    bids: list[BookLevel]
    asks: list[BookLevel]
    checksum: Checksum
    resync: bool = False


class BookUpdate(View, frozen=True, omit_defaults=True, tag_field="op", tag="update"):
    """The levels that have changed since the message with the sequence `previous`: absolute quantities, 0 removes a level.

    A level that falls out of the best `depth` is removed, one that moves up into them is set. Each hundredth has a checksum.
    """

    channel: Literal["book"]
    market: str
    depth: BookDepth
    sequence: int
    previous: int
    time: TimeText
    bids: list[BookLevel]
    asks: list[BookLevel]
    checksum: Checksum | None = None


class Trade(View, frozen=True, tag_field="op", tag="trade"):
    """A fill of the market, each once and in the order of `sequence`, without gaps; take-overs and deleveragings too (`cause`)."""

    channel: Literal["trades"]
    market: str
    sequence: int
    data: PublicFill


class Liquidation(View, frozen=True, tag_field="op", tag="liquidation"):
    """A fill that closes a position by force: `cause` is LIQUIDATION, TAKE_OVER or ADL. `sequence` has gaps: the other trades."""

    channel: Literal["liquidations"]
    market: str
    sequence: int
    data: PublicFill


class BestPrices(View, frozen=True, tag_field="op", tag="bbo"):
    """The best bid and ask, null for an empty side; on change of a price or its quantity."""

    channel: Literal["bbo"]
    market: str
    sequence: int
    time: TimeText
    bid: BookLevel | None
    ask: BookLevel | None


class MarkView(View, frozen=True):
    """Mark, index and funding of a market. The predicted rate is null before the first minute of an interval is sampled."""

    mark_price: str
    index_price: str
    funding_rate: str
    predicted_funding_rate: str | None
    next_funding_time: TimeText | None


class Mark(View, frozen=True, tag_field="op", tag="mark"):
    """Mark, index and funding; on change, at most five a second."""

    channel: Literal["mark"]
    market: str
    sequence: int
    time: TimeText
    data: MarkView


class Status(View, frozen=True, tag_field="op", tag="status"):
    """The status of a market; on change."""

    channel: Literal["status"]
    market: str
    sequence: int
    time: TimeText
    status: MarketStatus


class Ticker(View, frozen=True, tag_field="op", tag="ticker"):
    """The ticker of REST; on change, at most five a second."""

    channel: Literal["ticker"]
    market: str
    sequence: int
    data: TickerView


class Candle(View, frozen=True, omit_defaults=True, tag_field="op", tag="candle"):
    """A candle of REST: each change of the open one, at most five a second, and once with `closed`, two seconds after its end."""

    channel: Literal["candles"]
    market: str
    interval: CandleInterval
    sequence: int
    data: CandleView
    closed: bool = False


class Funding(View, frozen=True, tag_field="op", tag="funding"):
    """The funding of an interval that has ended, as in the history of REST; each."""

    channel: Literal["funding"]
    market: str
    sequence: int
    data: FundingView


MarketMessage = (
    Subscribed
    | BookSnapshot
    | BookUpdate
    | Trade
    | Liquidation
    | BestPrices
    | Mark
    | Status
    | Ticker
    | Candle
    | Funding
)
