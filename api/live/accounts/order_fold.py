"""From events to an order as REST shows it: the row of the order, changed as the projection will change it.

What events do not say (the submitted fields, the leverage, who its legs are) is in the row from the beginning.
"""

from typing import Any

import msgspec

from schemas.events import (
    AmendRefused,
    CommandFailed,
    ConditionalAccepted,
    Event,
    LiquidationStepped,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderShrunk,
    OrderTriggered,
    TradeExecuted,
)
from schemas.orders import AmendRefusal, EndReason, OrderStatus, OrderType
from schemas.units import datetime_of

Row = dict[str, Any]
_ASKED_FOR = frozenset({EndReason.USER, EndReason.LIQUIDATION})
"""Ends that a cancel has requested, at the time of its command."""


def as_submitted(row: Row) -> Row:
    """The row as it was before its first event: the projection may have been faster."""
    is_conditional = OrderType(row["type"]).is_conditional
    return row | {
        "status": OrderStatus.PENDING,
        "reason": None,
        "best_opposite": None,
        "remaining": row["filled_lots"] + row["remaining"],
        "filled_lots": 0,
        "filled_notional": 0,
        "is_live": not is_conditional,
        "is_waiting": is_conditional,
        "triggered_at": None,
        "triggered_working_price": None,
        "liquidation_fee": None,
    }


def apply(row: Row, event: Event, number: int) -> bool:
    """Change the row of order `number` by an event that is about it; whether that changes what REST shows."""
    match event:
        case OrderAccepted() | ConditionalAccepted() | OrderTriggered():
            _enter(row, event)
        case TradeExecuted():
            _trade(row, event, number)
        case OrderShrunk():
            row["remaining"] = event.remaining
        case OrderAmended():
            _amend(row, event)
        case OrderEnded():
            _end(row, event.status, event.reason)
            row["best_opposite"] = event.best_opposite
            if event.reason in _ASKED_FOR and row["cancel_requested_at"] is None:
                row["cancel_requested_at"] = datetime_of(event.at)
        case CommandFailed() if event.rejects_order:
            _end(row, OrderStatus.REJECTED, event.reason)
        case AmendRefused() | CommandFailed() if has_ended(row):
            return False
        case AmendRefused() if event.reason is AmendRefusal.TRIGGERED:
            return True  # the amend came too late: the order had changed last when it triggered
        case AmendRefused() | CommandFailed():
            pass
        case LiquidationStepped():
            row["liquidation_fee"] = event.fee
            return True  # the order had changed last when it ended
        case _:
            return False
    row["updated_at"] = datetime_of(event.at)
    return True


def has_ended(row: Row) -> bool:
    """Whether nothing more happens to the order."""
    return not OrderStatus(row["status"]).is_open


def _enter(row: Row, event: OrderAccepted | ConditionalAccepted | OrderTriggered) -> None:
    """The order is in the book, waits for its condition, or leaves that waiting."""
    row["price"] = event.price
    match event:
        case OrderAccepted():
            row.update(status=OrderStatus.OPEN, is_waiting=False, is_live=True)
            if row["filled_lots"] == 0:
                row.update(quantity=event.quantity + _cut(row), remaining=event.quantity)
        case ConditionalAccepted():
            row.update(status=OrderStatus.UNTRIGGERED, quantity=event.quantity, remaining=event.quantity)
        case OrderTriggered():
            row.update(status=OrderStatus.TRIGGERED, triggered_at=datetime_of(event.at))
            row["triggered_working_price"] = event.working_price
            _resize(row, event.remaining)


def _amend(row: Row, event: OrderAmended) -> None:
    _resize(row, event.remaining)
    row["price"] = event.price
    if event.trigger is not msgspec.UNSET and event.trigger:
        row["trigger_price"] = event.trigger


def _trade(row: Row, event: TradeExecuted, number: int) -> None:
    party = event.maker if event.maker.order == number else event.taker
    row["remaining"] = party.remaining
    row["filled_lots"] += event.quantity
    row["filled_notional"] += event.notional
    if party.remaining:
        row["status"] = OrderStatus.TRIGGERED if row["is_waiting"] else OrderStatus.PARTIALLY_FILLED
    else:
        _end(row, OrderStatus.FILLED, None)


def _end(row: Row, status: OrderStatus, reason: EndReason | None) -> None:
    row.update(status=status, reason=reason, is_live=False, is_waiting=False)


def _resize(row: Row, remaining: int) -> None:
    row["quantity"] += remaining - row["remaining"]
    row["remaining"] = remaining


def _cut(row: Row) -> int:
    """What reduce-only has cut from the order so far."""
    cut: int = row["quantity"] - row["filled_lots"] - row["remaining"]
    return cut
