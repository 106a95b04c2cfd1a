"""A position: signed lots and their signed cost. The average price is a view, never stored (docs/semantics.md, "Position, profit, fees")."""

import msgspec

from schemas.orders import Side
from schemas.units import Micros, divide_toward_zero


class Position(msgspec.Struct, gc=False):
    """The position of one account in one market.

    `lots` and `cost` (micros) are positive when long, negative when short; `realized` (micros) is the profit since the
    position last left zero, without fees, and `opened_seq` the event at which it did (0 when flat).
    """

    lots: int = 0
    cost: Micros = Micros(0)
    realized: Micros = Micros(0)
    opened_seq: int = 0


def fill(position: Position, lots: int, notional: int, event: int) -> Micros:
    """Book a fill of signed lots at a signed notional (micros), reported by event `event`; returns the profit it realized.

    Closing releases cost in proportion, rounded towards zero; the rest of the cost stays. A fill that crosses zero
    closes first, then opens. Always: realized = change of cost - notional.
    """
    if position.lots * lots >= 0:
        return _open(position, lots, notional, event)
    if abs(lots) <= abs(position.lots):
        return _close(position, lots, notional)
    closing = -position.lots
    # rounded down; exact for a trade, whose notional is a whole number of micros per lot
    closing_notional = notional * closing // lots
    realized = _close(position, closing, closing_notional)
    _open(position, lots - closing, notional - closing_notional, event)
    return realized


def closing_side(lots: int) -> Side:
    """The side that reduces a position."""
    return Side.SELL if lots > 0 else Side.BUY


def settled_part(amount: int, lots: int, before: int, after: int) -> Micros:
    """The settlement amount of the lots from `before` to `after` of `lots`: V split by lots, cumulatively, truncated."""
    size = abs(lots)
    return Micros(divide_toward_zero(amount * after, size) - divide_toward_zero(amount * before, size))


def _open(position: Position, lots: int, notional: int, event: int) -> Micros:
    if not position.lots:
        position.realized = Micros(0)
        position.opened_seq = event
    position.lots += lots
    position.cost = Micros(position.cost + notional)
    return Micros(0)


def _close(position: Position, lots: int, notional: int) -> Micros:
    released = divide_toward_zero(position.cost * -lots * _sign(position.lots), abs(position.lots))
    realized = Micros(-notional - released)
    position.lots += lots
    position.cost = Micros(position.cost - released)
    position.realized = Micros(position.realized + realized)
    if not position.lots:
        position.opened_seq = 0
    return realized


def _sign(number: int) -> int:
    return 1 if number > 0 else -1
