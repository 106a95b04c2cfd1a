"""The accounts and orders that a batch of events touches, which are locked before it is folded."""

from collections.abc import Iterable
from typing import Protocol

from schemas.events import (
    CommandFailed,
    Event,
    ForcedActionDone,
    FundingPaid,
    LiquidationStepped,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderShrunk,
    PositionsSettled,
    PositionTransferred,
    TradeExecuted,
    TradeSide,
)
from schemas.ids import order_key


class _Holder(Protocol):
    @property
    def user(self) -> int: ...


def keys_to_lock(market_id: int, events: Iterable[Event]) -> tuple[list[int], list[int]]:
    """Users and order keys that the events touch, each sorted."""
    users: set[int] = set()
    orders: set[int] = set()
    for event in events:
        for party in _parties(event):
            users.add(party.user)
            orders.add(order_key(market_id, party.order))
        users.update(holder.user for holder in _holders(event))
    return sorted(users), sorted(orders)


def _parties(
    event: Event,
) -> tuple[OrderAccepted | OrderEnded | OrderShrunk | OrderAmended | CommandFailed | TradeSide, ...]:
    """The parties of an event that take part with an order."""
    match event:
        case OrderAccepted() | OrderEnded() | OrderShrunk() | OrderAmended() | CommandFailed():
            return (event,)
        case TradeExecuted():
            return (event.maker, event.taker)
        case _:
            return ()


def _holders(event: Event) -> Iterable[_Holder]:
    """The accounts whose position or wallet an event changes without an order."""
    match event:
        case PositionTransferred():
            return (event.bankrupt, event.counterparty)
        case LiquidationStepped() | ForcedActionDone():
            return (event,)
        case FundingPaid():
            return event.payments
        case PositionsSettled():
            return event.settlements
        case _:
            return ()
