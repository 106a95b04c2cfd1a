"""What the socket sends about markets and about the account.

Written by `python -m app.release.client_models` from the structs of the exchange; a test compares them.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from perpetua_client.models import Balance, Candle, Fill, Funding, Order, Position, PublicFill, Ticker


class MarkView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Mark, index and funding of a market. The predicted rate is null before the first minute of an interval is sampled."""

    mark_price: Decimal
    index_price: Decimal
    funding_rate: Decimal
    predicted_funding_rate: Decimal | None
    next_funding_time: datetime | None


class SubscribedMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="subscribed"):
    """The first message of a subscription. `sequence`, where there can be a `from`: what comes next follows it.

    It is the one before `from`, or without `from` the last there was.
    """

    channel: str
    market: str
    depth: int | None = None
    interval: str | None = None
    sequence: int | None = None


class BookSnapshotMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="snapshot"):
    """The best levels of a book, bids falling and asks rising. It replaces what the client has.

    `resync`: the client fell behind, or the exchange read the book again; updates in between were left out.
    """

    channel: str
    market: str
    depth: int
    sequence: int
    time: datetime
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    checksum: int
    resync: bool = False


class BookUpdateMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="update"):
    """The levels that have changed since the message with the sequence `previous`: absolute quantities, 0 removes a level.

    A level that falls out of the best `depth` is removed, one that moves up into them is set. Each hundredth has a checksum.
    """

    channel: str
    market: str
    depth: int
    sequence: int
    previous: int
    time: datetime
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    checksum: int | None = None


class TradeMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="trade"):
    """A fill of the market, each once and in the order of `sequence`, without gaps; take-overs and deleveragings too (`cause`)."""

    channel: str
    market: str
    sequence: int
    data: PublicFill


class LiquidationMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="liquidation"):
    """A fill that closes a position by force: `cause` is LIQUIDATION, TAKE_OVER or ADL. `sequence` has gaps: the other trades."""

    channel: str
    market: str
    sequence: int
    data: PublicFill


class BestPricesMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="bbo"):
    """The best bid and ask, null for an empty side; on change of a price or its quantity."""

    channel: str
    market: str
    sequence: int
    time: datetime
    bid: tuple[Decimal, Decimal] | None
    ask: tuple[Decimal, Decimal] | None


class MarkMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="mark"):
    """Mark, index and funding; on change, at most five a second."""

    channel: str
    market: str
    sequence: int
    time: datetime
    data: MarkView


class StatusMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="status"):
    """The status of a market; on change."""

    channel: str
    market: str
    sequence: int
    time: datetime
    status: str


class TickerMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="ticker"):
    """The ticker of REST; on change, at most five a second."""

    channel: str
    market: str
    sequence: int
    data: Ticker


class CandleMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="candle"):
    """A candle of REST: each change of the open one, at most five a second, and once with `closed`, two seconds after its end."""

    channel: str
    market: str
    interval: str
    sequence: int
    data: Candle
    closed: bool = False


class FundingMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="funding"):
    """The funding of an interval that has ended, as in the history of REST; each."""

    channel: str
    market: str
    sequence: int
    data: Funding


class AccountSubscribedMessage(
    msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="subscribed"
):
    """The first message of a subscription. `cursor` is where it begins."""

    channel: str
    cursor: str


class CurrentMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="current"):
    """The present state, or what has changed since `from`, is complete: what follows happens now."""

    channel: str
    cursor: str


class OrderChangedMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="order"):
    """An order as REST shows it, on every change. `commandId` is left out in the present state.

    `amendRefused`: an amend of it was refused, and why.
    """

    channel: str
    market: str
    sequence: int
    cursor: str
    data: Order
    command_id: str | None = None
    amend_refused: str | None = None


class OwnFillMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="fill"):
    """A fill of the account as REST shows it: each, once."""

    channel: str
    market: str
    sequence: int
    cursor: str
    data: Fill
    command_id: str | None = None


class PositionChangedMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="position"):
    """A position as REST shows it, null once it is closed; the latest, when an event has touched it."""

    channel: str
    market: str
    sequence: int
    cursor: str
    data: Position | None


class BalanceChangedMessage(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="op", tag="balance"):
    """A balance as REST shows it; the latest, when an event or a transfer has touched it. `sequences`: of each market of the account."""

    channel: str
    sequences: dict[str, int]
    cursor: str
    data: Balance


MarketMessage = (
    SubscribedMessage
    | BookSnapshotMessage
    | BookUpdateMessage
    | TradeMessage
    | LiquidationMessage
    | BestPricesMessage
    | MarkMessage
    | StatusMessage
    | TickerMessage
    | CandleMessage
    | FundingMessage
)
AccountMessage = (
    AccountSubscribedMessage
    | CurrentMessage
    | OrderChangedMessage
    | OwnFillMessage
    | PositionChangedMessage
    | BalanceChangedMessage
)
