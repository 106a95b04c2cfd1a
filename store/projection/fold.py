"""From events to rows: the effect of each event on orders, positions, wallets, fills and the ledger.

Only margin sums are computed here: fees, realized profit and the resulting position come in the event. What an order
added to the sums of its account is subtracted again lot by lot, exactly.
"""

from datetime import datetime
from typing import assert_never

import msgspec

from schemas.events import (
    ActivationRefused,
    AmendRefused,
    BarrierPassed,
    CancelRefused,
    ClockAdvanced,
    CommandFailed,
    ConditionalAccepted,
    CountdownChanged,
    Event,
    ForcedActionDone,
    FundingPaid,
    FundingSettled,
    LiquidationStepped,
    MarketOpened,
    MarkMoved,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderShrunk,
    OrderTriggered,
    PositionsSettled,
    PositionTransferred,
    PremiumSampled,
    PriceIgnored,
    PriceSourcesChanged,
    RulesChanged,
    SpecChanged,
    StatusChanged,
    TradeExecuted,
    TradeSide,
)
from schemas.ids import order_key
from schemas.market import MarketSpec
from schemas.orders import AmendCause, AmendRefusal, AmendVerdict, EndReason, LiquidityRole, OrderStatus, Side
from schemas.units import datetime_of, datetime_or_none
from store.money.ledger import trade_entries
from store.projection.batch_rows import BatchRows
from store.projection.errors import ProjectionBroken
from store.projection.forced import end_forced_action, end_step, fold_settlement, set_position, transfer_position
from store.projection.funding import FundingSums, fold_premium, pay_funding, settle_funding
from store.projection.market_row import change_market
from store.projection.rows import (
    AmendedOrder,
    AmendUpdate,
    CountdownRow,
    FailureRow,
    FillRow,
    MarginTerms,
    OrderRow,
    Rows,
    Trigger,
)

_OtherEvent = (
    PositionTransferred
    | LiquidationStepped
    | ForcedActionDone
    | PositionsSettled
    | FundingPaid
    | FundingSettled
    | PremiumSampled
    | MarketOpened
    | MarkMoved
    | StatusChanged
    | PriceSourcesChanged
    | SpecChanged
    | RulesChanged
    | PriceIgnored
    | CancelRefused
    | ActivationRefused
    | CountdownChanged
    | BarrierPassed
    | ClockAdvanced
)


class Fold:
    """Applies events in order to the rows that are locked for them."""

    def __init__(self, market_id: int, spec: MarketSpec, rows: Rows) -> None:
        self.rows = rows
        self._batch = BatchRows(market_id, spec, rows)
        self._funding = FundingSums(spec.market)
        self._market = spec.market
        self._market_id = market_id
        self._lot_value = spec.lot_value

    def apply(self, event: Event) -> None:
        """Apply one event to the rows; raises ProjectionBroken when they contradict it."""
        match event:
            case OrderAccepted():
                self._accept(event)
            case ConditionalAccepted():
                self._touch(event, event.order, event.user).status = OrderStatus.UNTRIGGERED
            case OrderTriggered():
                self._trigger(event)
            case TradeExecuted():
                self._trade(event)
            case OrderShrunk():
                order = self._touch(event, event.order, event.user)
                self._release(event, order, event.remaining, event.by)
            case OrderAmended(cause=AmendCause.USER):
                self._amend(event)
            case OrderAmended():
                self._move(event)
            case AmendRefused():
                self._refuse_amend(event)
            case OrderEnded():
                self._end(event)
            case CommandFailed():
                self._fail(event)
            case _:
                self._apply_other(event)

    def finish(self, last_command: int) -> None:
        """End the batch at this command; raises ProjectionBroken when the sums over a command's events do not balance."""
        self._funding.check(last_command)

    def _apply_other(self, event: _OtherEvent) -> None:
        match event:
            case PositionTransferred():
                transfer_position(self._batch, event)
            case LiquidationStepped():
                end_step(self._batch, event)
            case ForcedActionDone():
                end_forced_action(self._batch, event)
            case PositionsSettled():
                fold_settlement(self._batch, event)
            case FundingPaid():
                self._funding.paid(event)
                pay_funding(self._batch, event)
            case FundingSettled():
                self._funding.settled(event)
                settle_funding(self._batch, event)
            case CountdownChanged():
                self._set_countdown(event)
            case PremiumSampled():
                fold_premium(self._batch, event)
            case (
                MarketOpened() | MarkMoved() | StatusChanged() | PriceSourcesChanged() | SpecChanged() | RulesChanged()
            ):
                change_market(self.rows.market, event)
            case CancelRefused() | ActivationRefused() | BarrierPassed() | ClockAdvanced() | PriceIgnored():
                pass
            case _:
                assert_never(event)

    def _accept(self, event: OrderAccepted) -> None:
        """The order is in the book. One that waited until now has its margin terms from this event on."""
        order = self._touch(event, event.order, event.user)
        order.status = OrderStatus.OPEN
        if order.is_conditional:
            order.price, order.moved_event_seq, order.moved_command_seq = event.price, event.seq, event.command
        if order.is_waiting:
            order.is_waiting, order.is_live, order.remaining = False, True, event.quantity
            order.margin_price, order.loss_per_lot, order.fee_per_lot = (
                event.margin_price,
                event.loss_per_lot,
                event.fee_per_lot,
            )
            self._add_to_sums(order, order.remaining)
            self._batch.position(order.user).live_orders += 1

    def _trigger(self, event: OrderTriggered) -> None:
        order = self._touch(event, event.order, event.user)
        if not order.is_waiting:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, status=order.status)
        order.status, order.price = OrderStatus.TRIGGERED, event.price
        order.trigger = Trigger(event.at, event.working_price, event.seq, event.command)
        self._drop_amend(order)
        self._resize(order, event.remaining)

    def _resize(self, order: OrderRow, remaining: int) -> None:
        """Another size of an order that closes the position, whatever that is."""
        order.quantity += remaining - order.remaining
        order.remaining = remaining

    def _set_countdown(self, event: CountdownChanged) -> None:
        self.rows.countdowns[event.user] = CountdownRow(
            market_id=self._market_id,
            user_id=event.user,
            deadline=datetime_or_none(event.deadline),
            scope=event.scope,
        )

    def _trade(self, trade: TradeExecuted) -> None:
        at = datetime_of(trade.at)
        self._fill(trade, trade.maker, LiquidityRole.MAKER, trade.taker_side.opposite, at)
        self._fill(trade, trade.taker, LiquidityRole.TAKER, trade.taker_side, at)
        self._batch.post(trade, trade_entries(trade), trade=trade.trade)

    def _fill(self, trade: TradeExecuted, party: TradeSide, role: LiquidityRole, side: Side, at: datetime) -> None:
        order = self._touch(trade, party.order, party.user)
        self._release(trade, order, party.remaining, trade.quantity)
        order.filled_lots += trade.quantity
        order.filled_notional += trade.notional
        if party.remaining:  # what is left of a protective order waits to be tried again
            order.status = OrderStatus.TRIGGERED if order.is_waiting else OrderStatus.PARTIALLY_FILLED
        else:
            order.status = OrderStatus.FILLED
            self._close(trade, order)
        set_position(self._batch, party, side.sign * trade.quantity)
        fill = FillRow(
            market_id=self._market_id,
            trade_id=trade.trade,
            role=role,
            event_seq=trade.seq,
            order_id=order.order_id,
            user_id=party.user,
            side=side,
            price=trade.price,
            quantity=trade.quantity,
            notional=trade.notional,
            fee=party.fee,
            realized=party.realized,
            cause=trade.cause,
            at=at,
            position_after=party.position,
        )
        self.rows.fills.append(fill)

    def _move(self, event: OrderAmended) -> None:
        """A new price, and a new size of an order that waits to close the position.

        The margin sums stay: what the order adds per lot was computed when it was accepted.
        """
        order = self._touch(event, event.order, event.user)
        if order.remaining + event.added != event.remaining or (event.added and not order.is_waiting):
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, remaining=order.remaining)
        order.price = event.price
        self._resize(order, event.remaining)
        if order.is_waiting:
            return
        if not event.keeps_place:
            order.moved_event_seq, order.moved_command_seq = event.seq, event.command

    def _amend(self, event: OrderAmended) -> None:
        """The order has the terms that its owner asked for: from now on it counts with exactly these."""
        order = self._touch(event, event.order, event.user)
        terms = order.new_terms
        told = (event.margin_price, event.loss_per_lot, event.fee_per_lot)
        if order.amend_seq != event.command or terms is None or terms[:3] != told:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, under_way=order.amend_seq)
        if order.remaining + event.added != event.remaining:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, remaining=order.remaining)
        self._count_exactly(order, terms, event.added)
        order.price = event.price
        if not event.keeps_place:
            order.moved_event_seq, order.moved_command_seq = event.seq, event.command
        if (event.trigger is not msgspec.UNSET) != order.is_waiting:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, status=order.status)
        order.trigger_price = event.trigger or order.trigger_price
        quantity = order.filled_lots + order.remaining
        self._judge(
            event,
            AmendVerdict.DONE,
            amended_price=event.price,
            amended_quantity=quantity,
            amended_trigger=event.trigger or None,
        )

    def _refuse_amend(self, event: AmendRefused) -> None:
        """The order is as it was, or had ended."""
        self._judge(event, AmendVerdict.REFUSED, reason=event.reason, best_opposite=event.best_opposite)
        order = self.rows.orders.get(order_key(self._market_id, event.order))
        if event.reason is AmendRefusal.TRIGGERED:
            return  # it counts no more since the trigger
        if order is None or order.is_open:
            order = self._touch(event, event.order, event.user)
            self._forget_amend(event, order)

    def _forget_amend(self, event: AmendRefused | CommandFailed, order: OrderRow) -> None:
        """The amend of an open order was refused or undone: it counts with its old terms again."""
        if order.amend_seq != event.command or order.old_terms is None:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, under_way=order.amend_seq)
        self._count_exactly(order, order.old_terms, 0)

    def _count_exactly(self, order: OrderRow, terms: MarginTerms, added: int) -> None:
        """End the amend under way: what the order counted with is released, what it is with `added` lots is counted."""
        self._take_from_sums(order, order.remaining + order.amend_lots)
        order.remaining += added
        order.quantity += added
        order.margin_price, order.loss_per_lot, order.fee_per_lot, _ = terms
        order.amend_seq, order.amend_lots = None, 0
        self._take_from_sums(order, -order.remaining)
        self.rows.amended[order.order_id] = AmendedOrder(order.order_id, *terms, added)

    def _judge(
        self,
        event: OrderAmended | AmendRefused | OrderEnded,
        verdict: AmendVerdict,
        *,
        reason: AmendRefusal | None = None,
        best_opposite: int | None = None,
        amended_price: int | None = None,
        amended_quantity: int | None = None,
        amended_trigger: int | None = None,
    ) -> None:
        update = AmendUpdate(
            order_id=order_key(self._market_id, event.order),
            command_seq=event.command,
            verdict=verdict,
            reason=reason,
            best_opposite=best_opposite,
            amended_price=amended_price,
            amended_quantity=amended_quantity,
            amended_trigger=amended_trigger,
            event_seq=event.seq,
        )
        self.rows.amends.append(update)

    def _end(self, event: OrderEnded) -> None:
        order = self._touch(event, event.order, event.user)
        if order.remaining != event.remaining:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, remaining=order.remaining)
        self._take_from_sums(order, order.remaining)
        order.status, order.reason, order.best_opposite = event.status, event.reason, event.best_opposite
        self._close(event, order)
        if event.reason is EndReason.AMENDED:
            self._judge(event, AmendVerdict.ENDED_ORDER)

    def _fail(self, event: CommandFailed) -> None:
        key = order_key(self._market_id, event.order)
        self.rows.failures.append(
            FailureRow(
                market_id=self._market_id,
                command_seq=event.command,
                event_seq=event.seq,
                user_id=event.user,
                order_id=key,
                at=datetime_of(event.at),
            )
        )
        if event.rejects_order:
            self._reject(event)
        elif (order := self.rows.orders.get(key)) is not None and order.is_open:
            self._touch(event, event.order, event.user)  # the order can be cancelled, or amended, again
            if order.amend_seq == event.command:
                self._forget_amend(event, order)

    def _reject(self, event: CommandFailed) -> None:
        order = self._touch(event, event.order, event.user)
        if order.status != OrderStatus.PENDING:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, status=order.status)
        self._take_from_sums(order, order.remaining)
        order.status, order.reason = OrderStatus.REJECTED, event.reason
        self._close(event, order)

    def _close(self, event: Event, order: OrderRow) -> None:
        """The order has ended."""
        self._drop_amend(order)
        if order.is_live:
            self._batch.position(order.user).live_orders -= 1
        order.is_live = order.is_waiting = False
        order.ended_event_seq, order.ended_command_seq = event.seq, event.command

    def _drop_amend(self, order: OrderRow) -> None:
        """An amend that is still under way will be refused, for the order has ended or triggered: what it added counts no more."""
        if order.amend_seq is not None and order.old_terms is not None:
            self._take_from_sums(order, order.amend_lots)
            order.amend_seq, order.amend_lots = None, 0
            order.margin_price, order.loss_per_lot, order.fee_per_lot, _ = order.old_terms
            self.rows.amended[order.order_id] = AmendedOrder(order.order_id, *order.old_terms, 0)

    def _release(self, event: Event, order: OrderRow, remaining: int, lots: int) -> None:
        if order.remaining != remaining + lots:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, remaining=order.remaining)
        self._take_from_sums(order, lots)
        order.remaining = remaining

    def _take_from_sums(self, order: OrderRow, lots: int) -> None:
        """Release lots of an order; one that waits is in no sum."""
        if order.is_live:
            self._add_to_sums(order, -lots)

    def _add_to_sums(self, order: OrderRow, lots: int) -> None:
        position = self._batch.position(order.user)
        notional = lots * order.margin_price * self._lot_value
        if order.is_buy:
            position.buy_lots += lots
            position.buy_notional += notional
        else:
            position.sell_lots += lots
            position.sell_notional += notional
        position.open_loss += lots * order.loss_per_lot
        position.open_fees += lots * order.fee_per_lot

    def _touch(self, event: Event, number: int, user: int) -> OrderRow:
        key = order_key(self._market_id, number)
        order = self.rows.orders.get(key)
        if order is None or order.user != user or not order.is_open or user not in self.rows.wallets:
            raise ProjectionBroken(self._market, event=event.seq, order=key, user=user, stored=order)
        order.updated_at = event.at
        self.rows.touched_orders[key] = order
        return order
