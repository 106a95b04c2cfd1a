"""What placing an order would do: the engine itself, on a market rebuilt for one command.

The rebuilt market holds of the book only what the order can reach, and of the positions only those that count there. What the
engine decides on it does not depend on the rest.
"""

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from exchange.engine.engine import apply
from exchange.engine.market import Market
from exchange.engine.matching import Offers, crosses
from exchange.engine.order import Order
from exchange.engine.reduce_only import reducible_of
from exchange.position import Position
from schemas.commands import PlaceOrder
from schemas.events import OrderAccepted, OrderEnded, OrderShrunk, TradeExecuted
from schemas.orders import EndReason, OrderStatus, OrderType, SelfTradePrevention, TimeInForce
from schemas.units import Ticks, Timestamp


class Outcome(NamedTuple):
    """What becomes of an order; `status` is None where that depends on orders that were not read.

    `fills` are its lots by price, best first; `notional`, `fee` and `realized` (micros) are their sums. `position` is the
    account's afterwards.
    """

    status: OrderStatus | None
    reason: EndReason | None
    best_opposite: Ticks | None
    remaining: int
    cut: int
    fills: dict[Ticks, int]
    notional: int
    fee: int
    realized: int
    position: Position


class Reach:
    """How much of the book an order needs: it passes the orders of the other side, best first, until it needs no more.

    What a maker offers is counted as for a fill-or-kill order. A market order also needs to know whether an order is left beyond
    its protection price.
    """

    def __init__(self, command: PlaceOrder, lots: int, clock: Timestamp) -> None:
        """`lots`: the signed lots of the account's position; `clock`: the time at which the order arrives."""
        self._command = command
        self._clock = clock
        self._missing = _lots_needed(command, lots)
        self._offers = Offers()

    @property
    def is_enough(self) -> bool:
        """Whether the order ends, or is filled, before the next maker."""
        return self._missing <= 0

    def pass_maker(self, maker: Order, lots: int) -> None:
        """Count the next maker; `lots` are the signed lots of its account's position, read only of a reduce-only one."""
        if self.is_enough or (maker.expires_at is not None and maker.expires_at <= self._clock):
            return
        command = self._command
        is_own, offer = maker.user == command.user, self._offers.next(maker, lots)
        if not crosses(command, maker):
            is_end = command.order_type is not OrderType.MARKET or is_own or offer > 0
        else:
            is_end = command.post_only or (
                is_own and command.self_trade_prevention is not SelfTradePrevention.EXPIRE_MAKER
            )
            self._missing -= 0 if is_own else offer
        if is_end:
            self._missing = 0


def rebuild(market: Market, positions: Mapping[int, Position], orders: Iterable[Order]) -> Market:
    """An empty market, now with these positions and resting orders; those of one price in the order of the queue."""
    market.positions = {user: position for user, position in positions.items() if position.lots}
    for order in orders:
        market.rest(order)
    return market


def outcome_of(market: Market, command: PlaceOrder, read: Container[int] | None = None) -> Outcome:
    """Place the order as the market's next command; changes the market.

    `read`: the makers that were read in their order, where the order needs more of them than that; None where it needs no more.
    Then the outcome is what it has from these. A fill-or-kill order fills as far as they go: whether it is filled is not known.
    """
    if read is not None and command.time_in_force is TimeInForce.FOK:
        command = replace(command, time_in_force=TimeInForce.IOC)
    order, held = market.command_seq + 1, market.positions.get(command.user, Position())
    tally = _Tally(command, replace(held))
    for event in apply(market, order, command):
        match event:
            case OrderAccepted():
                tally.is_known = read is None
            case TradeExecuted():
                if read is not None and event.maker.order not in read:
                    break
                tally.fill(event)
            case OrderShrunk(order=changed) if changed == order:
                tally.shrink(event)
            case OrderEnded(order=changed) if changed == order:
                tally.end(event)
            case _:
                pass
    return tally.outcome


class _Tally:
    """The events of one order, added up."""

    def __init__(self, command: PlaceOrder, held: Position) -> None:
        self.is_known = True
        self._remaining: int = command.quantity
        self._cut = 0
        self._fills: dict[Ticks, int] = {}
        self._notional = self._fee = self._realized = 0
        self._ended: OrderEnded | None = None
        self._position = held

    def fill(self, trade: TradeExecuted) -> None:
        taker = trade.taker
        self._remaining = taker.remaining
        self._fills[trade.price] = self._fills.get(trade.price, 0) + trade.quantity
        self._notional += trade.notional
        self._fee += taker.fee
        self._realized += taker.realized
        self._position = Position(taker.position, taker.cost)

    def shrink(self, event: OrderShrunk) -> None:
        self._cut += event.by
        self._remaining = event.remaining

    def end(self, event: OrderEnded) -> None:
        self._ended = event

    @property
    def outcome(self) -> Outcome:
        ended = self._ended if self.is_known else None
        return Outcome(
            status=self._status if self.is_known else None,
            reason=None if ended is None else ended.reason,
            best_opposite=None if ended is None else ended.best_opposite,
            remaining=self._remaining,
            cut=self._cut,
            fills=self._fills,
            notional=self._notional,
            fee=self._fee,
            realized=self._realized,
            position=self._position,
        )

    @property
    def _status(self) -> OrderStatus:
        if self._ended is not None:
            return self._ended.status
        if not self._remaining:
            return OrderStatus.FILLED
        return OrderStatus.PARTIALLY_FILLED if self._fills else OrderStatus.OPEN


def _lots_needed(command: PlaceOrder, lots: int) -> int:
    """The most that it can fill. A fill-or-kill order that is larger than what it may reduce fills nothing."""
    if not command.reduce_only:
        return command.quantity
    reducible = reducible_of(lots, command.side)
    if command.time_in_force is TimeInForce.FOK and reducible < command.quantity:
        return 0
    return min(command.quantity, reducible)
