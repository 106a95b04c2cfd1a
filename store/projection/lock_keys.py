"""The accounts and orders that a batch of events touches; the accounts are locked before it is folded."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from schemas.events import (
    AmendRefused,
    CommandFailed,
    ConditionalAccepted,
    Event,
    ForcedActionDone,
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
)
from schemas.ids import order_key


class _Holder(Protocol):
    @property
    def user(self) -> int: ...


class LockKeys(NamedTuple):
    """Users, whose accounts are locked, and the keys of the orders that are read under these locks."""

    users: set[int]
    orders: set[int]


def keys_to_lock(market_id: int, events: Iterable[Event]) -> LockKeys:
    """What the events touch."""
    users: set[int] = set()
    orders: set[int] = set()
    for event in events:
        match event:
            case (
                OrderAccepted()
                | ConditionalAccepted()
                | OrderTriggered()
                | OrderEnded()
                | OrderShrunk()
                | OrderAmended()
                | AmendRefused()
                | CommandFailed()
            ):
                users.add(event.user)
                orders.add(order_key(market_id, event.order))
            case TradeExecuted(maker=maker, taker=taker):
                users.update((maker.user, taker.user))
                orders.update((order_key(market_id, maker.order), order_key(market_id, taker.order)))
            case _:
                users.update(holder.user for holder in _holders(event))
    return LockKeys(users, orders)


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
