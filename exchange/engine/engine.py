"""The engine: a market, the next command of its log, and the events that follow. Pure, synchronous, integers only."""

from collections.abc import Sequence
from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from exchange.engine.clock import pass_time, tick
from exchange.engine.conditional.entry import activate, amend_waiting, place_conditional
from exchange.engine.conditional.firing import finish
from exchange.engine.conditional.following import end_legs, follow_ends
from exchange.engine.dead_man.switch import fire_due, set_countdown
from exchange.engine.emitter import Emitter
from exchange.engine.expiry import expire_due
from exchange.engine.forced_actions import deleverage, liquidate, take_over
from exchange.engine.market import Market
from exchange.engine.order_entry import amend, place
from exchange.engine.prices.funding import next_interval_end
from exchange.engine.prices.index import report, report_all, set_index, set_sources
from exchange.engine.rules import check_known, set_rules
from exchange.engine.status import STAGES, set_status
from exchange.errors import ForeignLog, SequenceGap
from schemas.commands import (
    ActivateOrder,
    AdvanceClock,
    AmendOrder,
    CancelOrder,
    CancelOrders,
    Command,
    Deleverage,
    Liquidate,
    ListMarket,
    PassBarrier,
    PlaceConditional,
    PlaceOrder,
    ReportPrice,
    ReportPrices,
    SetCountdown,
    SetIndex,
    SetPriceSources,
    SetRules,
    SetSpec,
    SetStatus,
    TakeOver,
    UserCommand,
)
from schemas.events import Event
from schemas.orders import EndReason, OrderStatus
from schemas.units import MINUTE_US, SECOND_US

NO_ORDER = 0
"""Of the failure of a command that concerns no order."""


def apply(market: Market, seq: int, command: Command) -> list[Event]:
    """Apply command `seq`, which must be the market's next one; changes the market and returns at least one event."""
    _check_next(market, seq)
    if (seq == 1) != isinstance(command, ListMarket):
        raise ForeignLog(market.spec.market, seq)
    emitter = Emitter(market, seq, command.at)
    market.command_seq = seq
    pass_time(market, command)
    expire_due(emitter)
    fire_due(emitter)
    _answer(emitter, command)
    if market.waiting.needs_a_look or market.groups.group_of:
        finish(emitter, command)
    return emitter.events


def fail(market: Market, seq: int, command: UserCommand) -> list[Event]:
    """Answer command `seq` as failed. Of the market, only the sequences change: not even its clock moves.

    But legs end with a parent that failed, and an order whose activation failed ends too: its margin is reserved.
    """
    _check_next(market, seq)
    emitter = Emitter(market, seq, command.at)
    market.command_seq = seq
    for number in orders_of_command(seq, command) or (NO_ORDER,):
        emitter.failed(number, command.user)
    if isinstance(command, ActivateOrder) and (order := market.take_out(command.order, command.user)) is not None:
        emitter.ended(order, OrderStatus.REJECTED, EndReason.INTERNAL)
    end_legs(emitter, seq, EndReason.PARENT_ENDED)
    follow_ends(emitter)
    return emitter.events


def orders_of_command(seq: int, command: UserCommand) -> Sequence[int]:
    """The orders that command `seq` cancels, or the one that it places or activates; a timer concerns none."""
    match command:
        case PlaceOrder() | PlaceConditional():
            return (seq,)
        case CancelOrder() | AmendOrder() | ActivateOrder():
            return (command.order,)
        case CancelOrders():
            return command.orders
        case SetCountdown():
            return ()
        case _:
            assert_never(command)


def _check_next(market: Market, seq: int) -> None:
    if seq != market.command_seq + 1:
        raise SequenceGap(market.command_seq + 1, seq)


def _answer(emitter: Emitter, command: Command) -> None:  # noqa: C901, PLR0912 - one branch for each kind of command
    match command:
        case PlaceOrder():
            place(emitter, command)
        case CancelOrder():
            _cancel(emitter, command.user, (command.order,), command.reason)
        case CancelOrders():
            _cancel(emitter, command.user, command.orders, command.reason)
        case AmendOrder():
            (amend if command.trigger is UNSET else amend_waiting)(emitter, command)
        case PlaceConditional():
            place_conditional(emitter, command)
        case ActivateOrder():
            activate(emitter, command)
        case SetCountdown():
            set_countdown(emitter, command)
        case SetPriceSources():
            set_sources(emitter, command)
        case ReportPrice():
            report(emitter, command)
        case ReportPrices():
            report_all(emitter, command.prices)
        case AdvanceClock():
            tick(emitter)
        case Liquidate():
            liquidate(emitter, command)
        case TakeOver():
            take_over(emitter, command)
        case Deleverage():
            deleverage(emitter, command)
        case SetIndex():
            set_index(emitter, command.index)
        case SetStatus():
            set_status(emitter, command.status)
        case SetSpec():
            _set_spec(emitter, command)
        case SetRules():
            set_rules(emitter, command.rules)
        case PassBarrier():
            emitter.barrier_passed(command.barrier)
        case ListMarket():
            _open(emitter, command)
        case _:
            assert_never(command)


def _cancel(emitter: Emitter, user: int, orders: Sequence[int], reason: EndReason) -> None:
    """Cancel those of the user's orders that rest or wait; refused when none does."""
    before = len(emitter.events)
    for number in orders:
        order = emitter.market.take_out(number, user)
        if order is not None:
            emitter.ended(order, OrderStatus.CANCELLED, reason)
    if len(emitter.events) == before:
        emitter.cancel_refused(orders[0], user)


def _set_spec(emitter: Emitter, command: SetSpec) -> None:
    """Risk tiers and limits are only kept here, and published: margin is checked before a command is written."""
    emitter.market.spec = replace(
        emitter.market.spec, risk_tiers=command.risk_tiers, open_interest_max=command.open_interest_max
    )
    emitter.spec_changed()


def _open(emitter: Emitter, command: ListMarket) -> None:
    market = emitter.market
    if command.spec.market != market.spec.market:
        raise ForeignLog(market.spec.market, emitter.command)
    check_known(command.rules)
    market.rules = command.rules
    market.spec = command.spec
    market.set_status(command.status, is_frozen=False)
    market.stage = STAGES[command.status]
    market.index = command.spec.reference_price
    market.mark = command.spec.mark_of_index(market.index)
    market.second, market.minute = market.clock // SECOND_US, market.clock // MINUTE_US
    market.funding.ends_at = next_interval_end(market.clock, command.spec.funding_interval_us)
    emitter.opened()
