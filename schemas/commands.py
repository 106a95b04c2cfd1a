"""What a market can be asked to do: the closed union of commands in `engine.commands.{market}`.

Ids, times and prices come in the command; the engine never asks for them. An order's number within its market is the
`seq` of the command that created it.
"""

from typing import Literal

import msgspec

from schemas.market import RULES_FIRST, MarketSpec, MarketStatus
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce
from schemas.units import Lots, Micros, Nanos, Ticks, Timestamp


class MarketListed(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="market.listed"):
    """The first command of every log: the market's rules, its status, its index and the rules version it starts with."""

    at: Timestamp
    spec: MarketSpec
    status: MarketStatus
    rules: int = RULES_FIRST
    v: Literal[1] = 1


class OrderCreated(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="order.created"):
    """A validated and margined order enters the market.

    `price` is the limit, or the protection price of a market order. `margin_price` (ticks), `loss_per_lot` and
    `fee_per_lot` (micros) are what the order adds to its account's margin sums per remaining lot.
    """

    at: Timestamp
    user: int
    side: Side
    order_type: OrderType
    quantity: Lots
    price: Ticks
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    self_trade_prevention: SelfTradePrevention
    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros
    leverage: int
    client_order_id: str | None = None
    expires_at: Timestamp | None = None
    valid_until: Timestamp | None = None
    v: Literal[1] = 1


class OrderCancelled(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="order.cancelled"):
    """A user asks that his order `order` (its number in this market) be taken out of the book."""

    at: Timestamp
    user: int
    order: int
    v: Literal[1] = 1


class IndexSet(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="index.set"):
    """The index price moved; the mark follows from it."""

    at: Timestamp
    index: Nanos
    v: Literal[1] = 1


class StatusSet(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="market.status_set"):
    """The operator sets the market's status."""

    at: Timestamp
    status: MarketStatus
    v: Literal[1] = 1


class RulesSet(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="rules.set"):
    """The operator moves the market on to a newer rules version, once every process that may own it knows that version."""

    at: Timestamp
    rules: int
    v: Literal[1] = 1


class MarketBarrier(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="market.barrier"):
    """A drain waits until this command has gone all the way into the projection."""

    at: Timestamp
    barrier: str
    v: Literal[1] = 1


class ClockTicked(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="clock.ticked"):
    """Time has come to `at`: timed orders that are due expire."""

    at: Timestamp
    v: Literal[1] = 1


UserCommand = OrderCreated | OrderCancelled
Command = MarketListed | OrderCreated | OrderCancelled | IndexSet | StatusSet | RulesSet | MarketBarrier | ClockTicked
