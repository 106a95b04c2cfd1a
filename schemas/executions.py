"""The back-office stream `executions.{marketId}`: one record for each side of each fill (source of asyncapi.json).

Key, headers and compatibility are those of the fills. Trade T is the executions 2T - 1 (maker) and 2T (taker), so the
sequence has no gaps either. The records name accounts and client order ids: they are not public.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.events import PositionTransferred, TradeExecuted, TradeSide, TransferSide
from schemas.fills import PublicFill
from schemas.ids import INSURANCE_FUND
from schemas.market import MarketSpec
from schemas.orders import FillCause, LiquidityRole, Side
from schemas.record_headers import Headers, record_headers
from schemas.rest.bodies import TimeText
from schemas.topics import executions_topic
from schemas.units import Micros, format_e18, format_micros
from schemas.wire import Trade

EXECUTION_SCHEMA_VERSION = 1
INSURANCE_FUND_ID = "INSURANCE_FUND"
"""The account of the insurance fund, which has no user."""


class Execution(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One side of a fill. A take-over by the insurance fund and a deleveraging (`cause`) have no order and no fee."""

    market_id: str
    sequence: Annotated[
        int, Meta(ge=1, description="1, 2, 3, … without a hole: 2T - 1 and 2T for the market's trade T")
    ]
    trade_id: str
    event_id: str
    time: Annotated[TimeText, Meta(description="When it was matched, ISO 8601 UTC with microseconds")]
    user_id: Annotated[str, Meta(description="The account; INSURANCE_FUND for the insurance fund")]
    order_id: Annotated[str | None, Meta(description="null for a take-over and a deleveraging")]
    client_order_id: Annotated[str | None, Meta(description="What the client called the order; null without")]
    side: Side
    liquidity_role: LiquidityRole
    price: Annotated[str, Meta(description="Quote for one of the base asset, the maker's")]
    quantity: Annotated[str, Meta(description="Of the base asset")]
    notional: Annotated[str, Meta(description="Price times quantity; below zero only where a take-over's amount is")]
    fee: Annotated[str, Meta(description="What the account paid, in feeAsset; below zero is a rebate")]
    fee_asset: str
    realized_pnl: Annotated[str, Meta(description="Profit that this side realized, in feeAsset, before the fee")]
    position_after: Annotated[str, Meta(description="The account's position after it: base asset, below zero is short")]
    cause: FillCause
    schema_version: int = EXECUTION_SCHEMA_VERSION


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Execution)

encode_execution = _encoder.encode
"""An execution as the bytes of its record; the same execution always gives the same bytes."""


def decode_execution(body: bytes) -> Execution:
    """Read one record; raises msgspec.DecodeError for what is not an execution."""
    return _decoder.decode(body)


def execution_headers(execution: Execution) -> Headers:
    """The headers of an execution's record."""
    return record_headers("execution", executions_topic(execution.market_id), execution)


def account_text(user: int) -> str:
    """An account as the records name it."""
    return INSURANCE_FUND_ID if user == INSURANCE_FUND else str(user)


def sequences_of_trade(trade: int) -> range:
    """The sequences of the maker's side and the taker's."""
    return range(2 * trade - 1, 2 * trade + 1)


def orders_of(trades: Iterable[Trade]) -> Iterator[int]:
    """The orders, by number, whose client ids `executions_of_trades` asks for."""
    for trade in trades:
        if isinstance(trade, TradeExecuted):
            yield trade.maker.order
            yield trade.taker.order


def executions_of_trades(
    spec: MarketSpec, trades: Iterable[Trade], fills: Iterable[PublicFill], client_ids: Mapping[int, str | None]
) -> Iterator[Execution]:
    """Both sides of each trade and transfer, the maker's first. `fills` are those of the trades, which have the common
    fields in their text form already; `client_ids` by order number.
    """
    for trade, fill in zip(trades, fills, strict=True):
        match trade:
            case TradeExecuted(maker=maker, taker=taker):
                yield _side(spec, fill, LiquidityRole.MAKER, maker, client_ids[maker.order], maker.fee)
                yield _side(spec, fill, LiquidityRole.TAKER, taker, client_ids[taker.order], taker.fee)
            case PositionTransferred(bankrupt=taker, counterparty=maker):
                yield _side(spec, fill, LiquidityRole.MAKER, maker, None, Micros(0))
                yield _side(spec, fill, LiquidityRole.TAKER, taker, None, Micros(0))


def _side(  # noqa: PLR0917 - called for every fill; keywords take half as long again
    spec: MarketSpec,
    fill: PublicFill,
    role: LiquidityRole,
    party: TradeSide | TransferSide,
    client_order_id: str | None,
    fee: Micros,
) -> Execution:
    is_taker = role is LiquidityRole.TAKER
    return Execution(
        fill.market_id,
        2 * fill.sequence - (not is_taker),
        fill.trade_id,
        fill.event_id,
        fill.time,
        account_text(party.user),
        fill.taker_order_id if is_taker else fill.maker_order_id,
        client_order_id,
        fill.taker_side if is_taker else fill.taker_side.opposite,
        role,
        fill.price,
        fill.quantity,
        fill.notional,
        format_micros(fee) if fee else "0",
        spec.quote_asset,
        format_micros(party.realized) if party.realized else "0",
        format_e18(party.position * spec.lot_size_e18),
        fill.cause,
    )
