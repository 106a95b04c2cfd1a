"""One command's turn at a market, and what is told of it: events, numbered without holes, ids derived."""

from exchange.level import Order
from exchange.market import Market
from schemas.commands import OrderCreated
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
from schemas.orders import EndReason, FillCause, OrderStatus, Side
from schemas.units import Lots, Micros, Ticks, Timestamp


class Turn:
    """The market while it answers command `command`, which carried the time `at`; `events` are its answer so far."""

    __slots__ = ("at", "command", "events", "market")

    def __init__(self, market: Market, command: int, at: Timestamp) -> None:
        self.market = market
        self.command = command
        self.at = at
        self.events: list[Event] = []

    def _next(self) -> int:
        self.market.event_seq += 1
        return self.market.event_seq

    def opened(self) -> None:
        """The market exists, as it stands."""
        market = self.market
        self.events.append(
            MarketOpened(self._next(), self.command, self.at, market.spec, market.status, market.index, market.mark)
        )

    def accepted(self, order: Order, command: OrderCreated) -> None:
        """The order is taken on, as it was asked for."""
        self.events.append(
            OrderAccepted(
                seq=self._next(),
                command=self.command,
                at=self.at,
                order=order.number,
                user=order.user,
                side=order.side,
                order_type=command.order_type,
                quantity=command.quantity,
                price=command.price,
                time_in_force=command.time_in_force,
                post_only=command.post_only,
                reduce_only=command.reduce_only,
                self_trade_prevention=command.self_trade_prevention,
                margin_price=command.margin_price,
                loss_per_lot=command.loss_per_lot,
                fee_per_lot=command.fee_per_lot,
                leverage=command.leverage,
                client_order_id=command.client_order_id,
                expires_at=command.expires_at,
            )
        )

    def ended(self, order: Order, status: OrderStatus, reason: EndReason, best_opposite: Ticks | None = None) -> None:
        """The order left the market; what remained of it is released."""
        self.events.append(
            OrderEnded(
                self._next(),
                self.command,
                self.at,
                order.number,
                order.user,
                status,
                reason,
                order.remaining,
                best_opposite,
            )
        )

    def shrunk(self, order: Order, by: int) -> None:
        """The reduce-only order has just lost `by` lots."""
        self.events.append(
            OrderShrunk(self._next(), self.command, self.at, order.number, order.user, Lots(by), order.remaining)
        )

    def traded(
        self,
        *,
        price: Ticks,
        lots: Lots,
        notional: Micros,
        taker_side: Side,
        maker: TradeSide,
        taker: TradeSide,
    ) -> None:
        """Two orders met; the market's trade counter has been raised."""
        self.events.append(
            TradeExecuted(
                self._next(),
                self.command,
                self.at,
                self.market.trade_seq,
                price,
                lots,
                notional,
                taker_side,
                maker,
                taker,
                FillCause.TRADE,
            )
        )

    def cancel_refused(self, order: int, user: int) -> None:
        """There is no such resting order of this user."""
        self.events.append(CancelRefused(self._next(), self.command, self.at, order, user))

    def failed(self, order: int, user: int) -> None:
        """The command broke the engine and was undone."""
        self.events.append(CommandFailed(self._next(), self.command, self.at, order, user))

    def mark_moved(self) -> None:
        """Index and mark, as they stand."""
        self.events.append(MarkMoved(self._next(), self.command, self.at, self.market.index, self.market.mark))

    def status_changed(self) -> None:
        """The status in force, as it stands."""
        self.events.append(StatusChanged(self._next(), self.command, self.at, self.market.status))

    def rules_changed(self) -> None:
        """The rules version in force, as it stands."""
        self.events.append(RulesChanged(self._next(), self.command, self.at, self.market.rules))

    def barrier_passed(self, barrier: str) -> None:
        """Everything before the barrier has been matched."""
        self.events.append(BarrierPassed(self._next(), self.command, self.at, barrier))

    def clock_advanced(self) -> None:
        """The command's time has come."""
        self.events.append(ClockAdvanced(self._next(), self.command, self.at))
