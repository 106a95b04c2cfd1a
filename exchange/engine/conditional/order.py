"""An order that waits for its condition."""

from enum import IntEnum

import msgspec

from exchange.order_terms import condition_holds, fires_rising
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.units import PPM, Lots, Micros, Ppm, Ticks, Timestamp, divide_up


class Stage(IntEnum):
    """How far a waiting order has come: ASLEEP until its parent fills, AWAKE until its condition holds, then TRIGGERED."""

    ASLEEP = 0
    AWAKE = 1
    TRIGGERED = 2


class ConditionalOrder(msgspec.Struct, gc=False, eq=False, array_like=True):
    """One waiting order; `order_seq` is the sequence of the command that placed it.

    `trigger` (ticks) is what the working price must reach, `price` (ticks) the limit, 0 of the market types until a reduce-only
    one has triggered: then it is the protection price of that moment. `remaining` is 0
    of an order that closes the position until it has triggered. `callback_rate` (ppm), `activation` and `extreme` (ticks) are
    of a trailing order; the extreme is the best working price since it became active, 0 before. `parent` is the order that wakes
    it, 0 without one. `taker_notional` (micros) is what it has traded: fees are cumulative.
    """

    order_seq: int
    user: int
    side: Side
    order_type: OrderType
    working_type: WorkingType
    trigger: Ticks
    price: Ticks
    remaining: Lots
    reduce_only: bool
    closes_position: bool
    time_in_force: TimeInForce
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    leverage: int
    callback_rate: Ppm
    activation: Ticks
    client_order_id: str | None
    expires_at: Timestamp | None
    oco_group: str | None
    parent: int
    stage: Stage
    extreme: Ticks = Ticks(0)
    taker_notional: Micros = Micros(0)

    @property
    def is_trailing(self) -> bool:
        """Whether its trigger follows the working price."""
        return self.order_type is OrderType.TRAILING_STOP_MARKET

    @property
    def fires_rising(self) -> bool:
        """Whether it fires at or above its trigger; otherwise at or below."""
        return fires_rising(self.order_type, self.side)

    def follow(self, price: Ticks) -> None:
        """Let a trailing order see a working price: it becomes active, its extreme and its trigger follow."""
        rises = self.side is Side.SELL  # a sell follows the highest price, a buy the lowest
        if self.extreme:
            self.extreme = max(self.extreme, price) if rises else min(self.extreme, price)
        elif not self.activation or (price >= self.activation if rises else price <= self.activation):
            self.extreme = price
        else:
            return
        if rises:
            self.trigger = Ticks(divide_up(self.extreme * (PPM - self.callback_rate), PPM))
        else:
            self.trigger = Ticks(self.extreme * (PPM + self.callback_rate) // PPM)

    def holds_at(self, price: Ticks) -> bool:
        """Whether the condition holds at this working price."""
        # a trailing order that is not active has no trigger
        return bool(self.trigger) and condition_holds(self.order_type, self.side, price, self.trigger)
