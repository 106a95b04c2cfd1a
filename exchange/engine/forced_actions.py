"""What is done to a position because its margin is gone (docs/semantics.md, "Liquidation"): a liquidation order, a take-over by the
insurance fund, a deleveraging. The liquidator decides, with all markets in view; the engine carries out what still fits."""

from typing import NamedTuple

from exchange.engine.emitter import Turn
from exchange.engine.market import Market
from exchange.engine.matching import Terms, match
from exchange.engine.price_level import Order
from exchange.engine.reduce_only import enforce, reducible
from exchange.engine.status import is_forced_action_possible
from exchange.position import Position, closing_side, settled_part
from schemas.commands import Deleverage, Liquidate, TakeOver
from schemas.events import TransferSide
from schemas.ids import INSURANCE_FUND
from schemas.orders import EndReason, FillCause, OrderStatus, SelfTradePrevention, Side
from schemas.units import PPM, Lots, Micros, Ticks, divide_half_even, divide_up

_TERMS = Terms(SelfTradePrevention.EXPIRE_MAKER, taker_fee_rate=0, cause=FillCause.LIQUIDATION)


class Share(NamedTuple):
    """Lots of a bankrupt position that go to another account, settled at a signed amount (micros)."""

    cause: FillCause
    to: int
    lots: int
    amount: int


def liquidate(turn: Turn, command: Liquidate) -> None:
    """A reduce-only IOC order that no band and no filter stops; then the fee for what it closed."""
    market = turn.market
    order = Order(turn.command, command.user, command.side, command.price, command.quantity, reduce_only=True)
    cost = market.positions.get(command.user, Position()).cost
    lots = min(order.remaining, reducible(market, command.user, command.side))
    if not lots or not is_forced_action_possible(market):
        turn.ended(order, OrderStatus.REJECTED, EndReason.MARKET_STATUS if lots else EndReason.REDUCE_ONLY)
        turn.liquidation_stepped(command, Lots(0), Micros(0), Micros(0))
        return
    turn.accepted_liquidation(order, command)
    _cut_to(turn, order, lots)
    match(turn, order, _TERMS)
    closed = Lots(lots - order.remaining)
    if order.remaining:
        turn.ended(order, OrderStatus.EXPIRED, EndReason.IOC_REMAINDER)
    turn.liquidation_stepped(command, closed, order.taken, _fee(market, command, cost, order.taken))


def take_over(turn: Turn, command: TakeOver) -> None:
    """The insurance fund takes the whole position at its amount, unless it is not the position that was meant."""
    if not _is_as_named(turn.market, command):
        turn.forced_action_done(command, Lots(0), is_stale=True)
        return
    lots = abs(command.lots)
    _transfer(turn, command, Share(FillCause.TAKE_OVER, INSURANCE_FUND, lots, command.amount))
    enforce(turn, command.user)
    turn.forced_action_done(command, Lots(lots), is_stale=False)


def deleverage(turn: Turn, command: Deleverage) -> None:
    """Close the position against each counterparty in turn, as far as he still holds the opposite of it."""
    market = turn.market
    if not _is_as_named(market, command):
        turn.forced_action_done(command, Lots(0), is_stale=True)
        return
    side, total, done = closing_side(command.lots), abs(command.lots), 0
    for each in command.counterparties:
        lots = min(each.lots, reducible(market, each.user, side.opposite), total - done)
        if lots > 0 and each.user != command.user:
            _cancel_all(turn, each.user)
            amount = settled_part(command.amount, total, done, done + lots)
            _transfer(turn, command, Share(FillCause.ADL, each.user, lots, amount))
            done += lots
    enforce(turn, command.user)
    turn.forced_action_done(command, Lots(done), is_stale=False)


def _is_as_named(market: Market, command: TakeOver | Deleverage) -> bool:
    position = market.positions.get(command.user)
    is_same = position is not None and (position.lots, position.cost) == (command.lots, command.cost)
    return is_same and is_forced_action_possible(market)


def _transfer(turn: Turn, command: TakeOver | Deleverage, share: Share) -> None:
    market = turn.market
    side = closing_side(command.lots)
    market.trade_seq += 1
    turn.transferred(
        command,
        cause=share.cause,
        closing_side=side,
        lots=Lots(share.lots),
        amount=Micros(share.amount),
        price=Ticks(max(1, divide_half_even(-side.sign * share.amount, share.lots * market.spec.lot_value))),
        bankrupt=_booked(market, command.user, side.sign * share.lots, -share.amount),
        counterparty=_booked(market, share.to, -side.sign * share.lots, share.amount),
    )
    if share.to != INSURANCE_FUND:
        enforce(turn, share.to)


def _booked(market: Market, user: int, lots: int, notional: int) -> TransferSide:
    position, realized = market.book_fill(user, lots, notional)
    return TransferSide(user, realized, position.lots, position.cost, position.realized, position.opened)


def _cancel_all(turn: Turn, user: int) -> None:
    """End every resting order of an account that is deleveraged: its margin was reckoned with the position."""
    for side in Side:
        for order in [order for order in turn.market.book.walk(side) if order.user == user]:
            turn.market.remove(order)
            turn.ended(order, OrderStatus.CANCELLED, EndReason.ADL)


def _cut_to(turn: Turn, order: Order, lots: int) -> None:
    by = order.remaining - lots
    if by:
        order.remaining = Lots(lots)
        turn.shrunk(order, by)


def _fee(market: Market, command: Liquidate, cost_before: int, notional: int) -> Micros:
    """min(rate x closed notional, max(0, equity after the fill)), rounded up; the fund pays itself nothing."""
    if command.user == INSURANCE_FUND:
        return Micros(0)
    spec, lots = market.spec, market.position_of(command.user)
    # realized + unrealized of the rest = value of the rest at mark - cost before - signed notional
    profit = spec.notional(market.mark, lots) - cost_before - command.side.sign * notional
    fee = divide_up(notional * spec.liquidation_fee_rate, PPM)
    return Micros(min(fee, max(0, command.equity_elsewhere + profit)))
