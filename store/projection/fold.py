"""From events to rows: what each event does to orders, positions, wallets, fills and the ledger.

Nothing is computed here but margin sums: fees, realized profit and the resulting position come in the event. What an
order added to the sums of its account is taken away again lot by lot, exactly.
"""

from collections.abc import Iterable
from typing import assert_never

from schemas.events import (
    BarrierPassed,
    CancelRefused,
    ClockAdvanced,
    CommandFailed,
    Event,
    MarketOpened,
    MarkMoved,
    OrderAccepted,
    OrderEnded,
    OrderShrunk,
    RulesChanged,
    StatusChanged,
    TradeExecuted,
    TradeSide,
)
from schemas.ids import order_key
from schemas.orders import LiquidityRole, OrderStatus, Side
from schemas.units import datetime_of
from store.ledger import trade_entries
from store.projection.errors import ProjectionBroken
from store.projection.rows import OrderRow, PositionChange, Rows


def keys_to_lock(market_id: int, events: Iterable[Event]) -> tuple[list[int], list[int]]:
    """Users and order keys that the events touch, each sorted."""
    users: set[int] = set()
    orders: set[int] = set()
    for event in events:
        for party in _parties(event):
            users.add(party.user)
            orders.add(order_key(market_id, party.order))
    return sorted(users), sorted(orders)


def _parties(event: Event) -> tuple[OrderAccepted | OrderEnded | OrderShrunk | CommandFailed | TradeSide, ...]:
    match event:
        case OrderAccepted() | OrderEnded() | OrderShrunk() | CommandFailed():
            return (event,)
        case TradeExecuted():
            return (event.maker, event.taker)
        case _:
            return ()


class Fold:
    """Applies events one after the other to the rows that were locked for them."""

    def __init__(self, market: str, market_id: int, lot_value: int, rows: Rows) -> None:
        self.rows = rows
        self._market = market
        self._market_id = market_id
        self._lot_value = lot_value

    def apply(self, event: Event) -> None:
        """Fold one event into the rows; raises ProjectionBroken where they contradict it."""
        match event:
            case OrderAccepted():
                self._touch(event, event.order, event.user).status = OrderStatus.OPEN
            case TradeExecuted():
                self._trade(event)
            case OrderShrunk():
                order = self._touch(event, event.order, event.user)
                self._release(event, order, event.remaining, event.by)
            case OrderEnded():
                self._end(event)
            case CommandFailed():
                self._fail(event)
            case MarketOpened() | MarkMoved() | StatusChanged() | RulesChanged():
                self._change_market(event)
            case CancelRefused() | BarrierPassed() | ClockAdvanced():
                pass
            case _:
                assert_never(event)

    def _trade(self, trade: TradeExecuted) -> None:
        self._fill(trade, trade.maker, LiquidityRole.MAKER, trade.taker_side.opposite)
        self._fill(trade, trade.taker, LiquidityRole.TAKER, trade.taker_side)
        self._post(trade)

    def _fill(self, trade: TradeExecuted, party: TradeSide, role: LiquidityRole, side: Side) -> None:
        order = self._touch(trade, party.order, party.user)
        self._release(trade, order, party.remaining, trade.quantity)
        order.filled_lots += trade.quantity
        order.filled_notional += trade.notional
        order.status = OrderStatus.PARTIALLY_FILLED if party.remaining else OrderStatus.FILLED
        if not party.remaining:
            self._close(order)
        position = self._position(party.user)
        position.lots, position.cost, position.realized = party.position, party.cost, party.position_realized
        self.rows.fills.append(self._fill_row(trade, party, order, role, side))

    def _fill_row(
        self, trade: TradeExecuted, party: TradeSide, order: OrderRow, role: LiquidityRole, side: Side
    ) -> tuple[object, ...]:
        what = (trade.price, trade.quantity, trade.notional, party.fee, party.realized, str(trade.cause))
        who = (order.order_id, party.user, str(side))
        return (trade.trade, str(role), trade.seq, *who, *what, datetime_of(trade.at))

    def _post(self, trade: TradeExecuted) -> None:
        for entry in trade_entries(trade):
            after = None
            if entry.account > 0:
                after = self.rows.wallets[entry.account] + entry.amount
                self.rows.wallets[entry.account] = after
                self.rows.touched_wallets.add(entry.account)
            cause = None if entry.cause is None else str(entry.cause)
            amounts = (entry.amount, after)
            self.rows.entries.append(
                (int(entry.account), str(entry.type), cause, *amounts, trade.seq, trade.trade, datetime_of(trade.at))
            )

    def _end(self, event: OrderEnded) -> None:
        order = self._touch(event, event.order, event.user)
        if order.remaining != event.remaining:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, remaining=order.remaining)
        self._take_from_sums(order, order.remaining)
        order.status, order.reason, order.best_opposite = event.status, event.reason, event.best_opposite
        self._close(order)

    def _fail(self, event: CommandFailed) -> None:
        key = order_key(self._market_id, event.order)
        self.rows.failures.append((event.command, event.seq, event.user, key, datetime_of(event.at)))
        if event.rejects_order:
            self._reject(event)
        elif (order := self.rows.orders.get(key)) is not None and order.is_live:
            self._touch(event, event.order, event.user)  # it may be cancelled again

    def _reject(self, event: CommandFailed) -> None:
        order = self._touch(event, event.order, event.user)
        if order.status != OrderStatus.PENDING:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, status=order.status)
        self._take_from_sums(order, order.remaining)
        order.status, order.reason = OrderStatus.REJECTED, event.reason
        self._close(order)

    def _close(self, order: OrderRow) -> None:
        order.is_live = False
        self._position(order.user).live_orders -= 1

    def _release(self, event: Event, order: OrderRow, remaining: int, lots: int) -> None:
        if order.remaining != remaining + lots:
            raise ProjectionBroken(self._market, event=event.seq, order=order.order_id, remaining=order.remaining)
        self._take_from_sums(order, lots)
        order.remaining = remaining

    def _take_from_sums(self, order: OrderRow, lots: int) -> None:
        position = self._position(order.user)
        notional = lots * order.margin_price * self._lot_value
        if order.is_buy:
            position.buy_lots -= lots
            position.buy_notional -= notional
        else:
            position.sell_lots -= lots
            position.sell_notional -= notional
        position.open_loss -= lots * order.loss_per_lot
        position.open_fees -= lots * order.fee_per_lot

    def _touch(self, event: Event, number: int, user: int) -> OrderRow:
        key = order_key(self._market_id, number)
        order = self.rows.orders.get(key)
        if order is None or order.user != user or not order.is_live or user not in self.rows.wallets:
            raise ProjectionBroken(self._market, event=event.seq, order=key, user=user, stored=order)
        order.updated_at = event.at
        self.rows.touched_orders[key] = order
        return order

    def _position(self, user: int) -> PositionChange:
        position = self.rows.positions.get(user)
        if position is None:
            position = self.rows.positions[user] = PositionChange(user)
        return position

    def _change_market(self, event: MarketOpened | MarkMoved | StatusChanged | RulesChanged) -> None:
        market = self.rows.market
        if isinstance(event, MarketOpened | StatusChanged):
            market.status = str(event.status)
        if isinstance(event, MarketOpened | MarkMoved):
            market.index, market.mark, market.mark_at = event.index, event.mark, event.at
        if isinstance(event, RulesChanged):
            market.rules = event.rules
