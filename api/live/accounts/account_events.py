"""Which accounts an event is about, and the fills that it makes."""

from collections.abc import Iterator
from typing import Any

from schemas.events import (
    AmendRefused,
    CommandFailed,
    ConditionalAccepted,
    Event,
    FundingPaid,
    LiquidationStepped,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderShrunk,
    OrderTriggered,
    PositionsSettled,
    PositionTransferred,
    TradeExecuted,
    TradeSide,
    TransferSide,
)
from schemas.ids import order_key
from schemas.orders import LiquidityRole, Side
from schemas.rest.orders import FillView
from schemas.units import datetime_of
from store.queries.accounts.fills import fill_view

OrderEvent = (
    OrderAccepted
    | ConditionalAccepted
    | OrderTriggered
    | OrderEnded
    | OrderShrunk
    | OrderAmended
    | AmendRefused
    | CommandFailed
    | LiquidationStepped
)
"""About one order, which it names."""


def users_of(event: Event) -> Iterator[int]:
    """The accounts whose orders, position or balance an event changes; one can come twice."""
    match event:
        case TradeExecuted():
            yield event.maker.user
            yield event.taker.user
        case PositionTransferred():
            yield event.bankrupt.user
            yield event.counterparty.user
        case FundingPaid():
            for payment in event.payments:
                yield payment.user
        case PositionsSettled():
            for settlement in event.settlements:
                yield settlement.user
        case _ if isinstance(event, OrderEvent):
            yield event.user
        case _:
            pass


def orders_of(event: Event, user: int) -> Iterator[int]:
    """The numbers of the orders of a user that an event changes."""
    if isinstance(event, TradeExecuted):
        for party in (event.maker, event.taker):
            if party.user == user:
                yield party.order
    elif isinstance(event, OrderEvent) and event.user == user and event.order:
        yield event.order


class FillMaker:
    """Makes the fills of one account in one market from events, as REST shows them."""

    def __init__(self, user: int, market: str, market_id: int, spec: str) -> None:
        self._user, self._market_id = user, market_id
        self._fixed = {"name": market, "spec": spec}

    def fills(self, event: Event, client_ids: dict[int, str | None]) -> Iterator[FillView]:
        """The account's fills of an event."""
        match event:
            case TradeExecuted():
                side = event.taker_side
                yield from self._of_trade(event, event.maker, LiquidityRole.MAKER, side.opposite, client_ids)
                yield from self._of_trade(event, event.taker, LiquidityRole.TAKER, side, client_ids)
            case PositionTransferred():
                side = event.closing_side
                yield from self._of_transfer(event, event.bankrupt, LiquidityRole.TAKER, side)
                yield from self._of_transfer(event, event.counterparty, LiquidityRole.MAKER, side.opposite)
            case _:
                pass

    def _of_trade(
        self, event: TradeExecuted, party: TradeSide, role: LiquidityRole, side: Side, client_ids: dict[int, str | None]
    ) -> Iterator[FillView]:
        if party.user == self._user:
            yield fill_view(
                _common(event)
                | self._fixed
                | {
                    "order_id": order_key(self._market_id, party.order),
                    "client_order_id": client_ids.get(party.order),
                    "side": side,
                    "role": role,
                    "notional": event.notional,
                    "fee": party.fee,
                    "realized": party.realized,
                }
            )

    def _of_transfer(
        self, event: PositionTransferred, party: TransferSide, role: LiquidityRole, side: Side
    ) -> Iterator[FillView]:
        if party.user == self._user:
            yield fill_view(
                _common(event)
                | self._fixed
                | {
                    "order_id": None,
                    "client_order_id": None,
                    "side": side,
                    "role": role,
                    "notional": -event.closing_side.sign * event.amount,
                    "fee": 0,
                    "realized": party.realized,
                }
            )


def _common(event: TradeExecuted | PositionTransferred) -> dict[str, Any]:
    """What a trade and a transfer say in the same way."""
    return {
        "trade_id": event.trade,
        "price": event.price,
        "quantity": event.quantity,
        "event_seq": event.seq,
        "cause": event.cause,
        "at": datetime_of(event.at),
    }
