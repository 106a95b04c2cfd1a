"""Public market data: order book, trades, candles and ticker. It names no user and no order."""

from enum import StrEnum

import msgspec

from schemas.market import MarketStatus
from schemas.orders import FillCause, Side
from schemas.rest.bodies import TimeText, View


class CandleInterval(StrEnum):
    """The length of a candle; candles start at whole multiples of it since 1970-01-01 00:00 UTC."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    FOUR_HOURS = "4h"
    DAY = "1d"

    @property
    def seconds(self) -> int:
        """Its length in seconds."""
        return int(self.value[:-1]) * {"m": 60, "h": 3_600, "d": 86_400}[self.value[-1]]


class BookLevelView(View, frozen=True):
    """One price level: the remaining quantity of its orders, and their number."""

    price: str
    quantity: str
    orders: int


class OrderBookView(View, frozen=True):
    """The best levels of a book, bids falling and asks rising, exactly as of event `sequence` of the market.

    `time` is the time of that event.
    """

    market_id: str
    sequence: int
    time: TimeText
    bids: list[BookLevelView]
    asks: list[BookLevelView]


class TradeView(View, frozen=True):
    """A trade on the order book, without its parties. `sequence` is the market's trade counter.

    `cause` distinguishes the trades of a liquidation from all others.
    """

    trade_id: str
    sequence: int
    price: str
    quantity: str
    notional: str
    taker_side: Side
    cause: FillCause
    time: TimeText


class CandleView(View, frozen=True):
    """The trades of one interval from `time` on: first, highest, lowest and last price, and the traded volume.

    First and last are by trade counter. Without trades, all four prices are the close of the previous candle.
    """

    time: TimeText
    open: str
    high: str
    low: str
    close: str
    volume: str
    notional: str
    trades: int


class TickerView(View, frozen=True):
    """A market at a glance as of event `sequence`: last trade, touch, mark, funding, and the last 24 hours.

    The 24 hours begin with the minute that was in progress a day ago. `change24h` is from their first trade to the last one,
    `changeRate24h` the same as a fraction. Without trades these fields are null.
    """

    market_id: str
    status: MarketStatus
    sequence: int
    time: TimeText
    last_price: str | None
    last_quantity: str | None
    last_time: TimeText | None
    best_bid: BookLevelView | None
    best_ask: BookLevelView | None
    mark_price: str
    index_price: str
    funding_rate: str
    predicted_funding_rate: str | None
    next_funding_time: TimeText | None
    open_interest: str
    volume_24h: str = msgspec.field(name="volume24h")
    notional_24h: str = msgspec.field(name="notional24h")
    trades_24h: int = msgspec.field(name="trades24h")
    open_24h: str | None = msgspec.field(name="open24h")
    high_24h: str | None = msgspec.field(name="high24h")
    low_24h: str | None = msgspec.field(name="low24h")
    change_24h: str | None = msgspec.field(name="change24h")
    change_rate_24h: str | None = msgspec.field(name="changeRate24h")
