"""Forced actions on a position whose margin is lost (docs/semantics.md, "Liquidation"): liquidation order, take-over, deleveraging.

The liquidator decides on all markets together; the engine carries out an action as far as it still applies."""

from typing import NamedTuple

import msgspec

from exchange.engine.conditional.following import follow_position
from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.matching import MatchParams, match
from exchange.engine.order import Order
from exchange.engine.reduce_only import enforce, reducible
from exchange.engine.status import is_forced_action_possible
from exchange.position import Position, closing_side, settled_part
from schemas.commands import Deleverage, Liquidate, TakeOver
from schemas.events import TransferSide
from schemas.ids import INSURANCE_FUND
from schemas.market import RULES_SECOND
from schemas.orders import EndReason, FillCause, OrderStatus, SelfTradePrevention, Side
from schemas.units import PPM, Lots, Micros, Ticks, divide_half_even, divide_up

_PARAMS = MatchParams(SelfTradePrevention.EXPIRE_MAKER, taker_fee_rate=0, cause=FillCause.LIQUIDATION)


class TransferLeg(NamedTuple):
    """Lots of a bankrupt position transferred to another account, settled at a signed amount (micros)."""

    cause: FillCause
    to: int
    lots: int
    amount: int


def liquidate(emitter: Emitter, command: Liquidate) -> None:
    """Execute a reduce-only IOC order, exempt from band and filters; then charge the fee for what it closed."""
    market = emitter.market
    order = Order(emitter.command, command.user, command.side, command.price, command.quantity, reduce_only=True)
    cost = market.positions.get(command.user, Position()).cost
    lots = min(order.remaining, reducible(market, command.user, command.side))
    if not lots or not is_forced_action_possible(market):
        emitter.ended(order, OrderStatus.REJECTED, EndReason.MARKET_STATUS if lots else EndReason.REDUCE_ONLY)
        emitter.liquidation_stepped(command, Lots(0), Micros(0), Micros(0))
        return
    emitter.accepted_liquidation(order, command)
    _cut_to(emitter, order, lots)
    match(emitter, order, _PARAMS)
    closed = Lots(lots - order.remaining)
    if order.remaining:
        emitter.ended(order, OrderStatus.EXPIRED, EndReason.IOC_REMAINDER)
    emitter.liquidation_stepped(
        command, closed, order.taker_notional, _fee(market, command, cost, order.taker_notional)
    )


def take_over(emitter: Emitter, command: TakeOver) -> None:
    """Transfer the position, or the command's part of it, to the insurance fund; stale if the position has changed.

    Before rules 2 there are no parts.
    """
    if not _is_as_named(emitter.market, command):
        emitter.forced_action_done(command, Lots(0), is_stale=True)
        return
    total = abs(command.lots)
    lots = total
    if emitter.market.rules >= RULES_SECOND and command.quantity is not msgspec.UNSET:
        lots = min(command.quantity, total)
    amount = settled_part(command.amount, total, 0, lots)
    _transfer(emitter, command, TransferLeg(FillCause.TAKE_OVER, INSURANCE_FUND, lots, amount))
    enforce(emitter, command.user)
    emitter.forced_action_done(command, Lots(lots), is_stale=False)


def deleverage(emitter: Emitter, command: Deleverage) -> None:
    """Close the position against each counterparty one after the other, as far as it still holds the opposite position."""
    market = emitter.market
    if not _is_as_named(market, command):
        emitter.forced_action_done(command, Lots(0), is_stale=True)
        return
    side, total, done = closing_side(command.lots), abs(command.lots), 0
    for each in command.counterparties:
        lots = min(each.lots, reducible(market, each.user, side.opposite), total - done)
        if lots > 0 and each.user != command.user:
            _cancel_all(emitter, each.user)
            amount = settled_part(command.amount, total, done, done + lots)
            _transfer(emitter, command, TransferLeg(FillCause.ADL, each.user, lots, amount))
            done += lots
    enforce(emitter, command.user)
    emitter.forced_action_done(command, Lots(done), is_stale=False)


def _is_as_named(market: Market, command: TakeOver | Deleverage) -> bool:
    position = market.positions.get(command.user)
    is_same = position is not None and (position.lots, position.cost) == (command.lots, command.cost)
    return is_same and is_forced_action_possible(market)


def _transfer(emitter: Emitter, command: TakeOver | Deleverage, leg: TransferLeg) -> None:
    market = emitter.market
    side = closing_side(command.lots)
    market.trade_seq += 1
    emitter.transferred(
        command,
        cause=leg.cause,
        closing_side=side,
        lots=Lots(leg.lots),
        amount=Micros(leg.amount),
        price=Ticks(max(1, divide_half_even(-side.sign * leg.amount, leg.lots * market.spec.lot_value))),
        bankrupt=_booked(market, command.user, side.sign * leg.lots, -leg.amount),
        counterparty=_booked(market, leg.to, -side.sign * leg.lots, leg.amount),
    )
    if leg.to != INSURANCE_FUND:
        enforce(emitter, leg.to)
    for user, lots in ((command.user, side.sign * leg.lots), (leg.to, -side.sign * leg.lots)):
        after = market.position_of(user)
        follow_position(emitter, user, after - lots, after)


def _booked(market: Market, user: int, lots: int, notional: int) -> TransferSide:
    position, realized = market.book_fill(user, lots, notional)
    return TransferSide(user, realized, position.lots, position.cost, position.realized, position.opened_seq)


def _cancel_all(emitter: Emitter, user: int) -> None:
    """Cancel every resting order of a deleveraged account: their margin was computed with the position."""
    for side in Side:
        for order in [order for order in emitter.market.book.walk(side) if order.user == user]:
            emitter.market.remove(order)
            emitter.ended(order, OrderStatus.CANCELLED, EndReason.ADL)


def _cut_to(emitter: Emitter, order: Order, lots: int) -> None:
    by = order.remaining - lots
    if by:
        order.remaining = Lots(lots)
        emitter.shrunk(order, by)


def _fee(market: Market, command: Liquidate, cost_before: int, notional: int) -> Micros:
    """min(rate x closed notional, max(0, equity after the fill)), rounded up; the fund pays itself nothing."""
    if command.user == INSURANCE_FUND:
        return Micros(0)
    spec, lots = market.spec, market.position_of(command.user)
    # realized + unrealized of the rest = value of the rest at mark - cost before - signed notional
    profit = spec.notional(market.mark, lots) - cost_before - command.side.sign * notional
    fee = divide_up(notional * spec.liquidation_fee_rate, PPM)
    return Micros(min(fee, max(0, command.equity_elsewhere + profit)))
