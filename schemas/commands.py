"""What a market can be asked to do: the closed union of commands in `engine.commands.{market}`.

Ids, times and prices come in the command; the engine never asks for them. An order's number within its market is the
`seq` of the command that created it.
"""

from typing import Literal

import msgspec

from schemas.market import RULES_FIRST, MarketSpec, MarketStatus, PriceSource
from schemas.orders import EndReason, OrderType, SelfTradePrevention, Side, TimeInForce
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
    """The user's order `order` (its number in this market) is to leave the book: he asks for it, or his margin does."""

    at: Timestamp
    user: int
    order: int
    reason: EndReason = EndReason.USER
    v: Literal[1] = 1


class PriceSourcesSet(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="price_sources.set"):
    """The operator says which sources the index is made of, and how many of them must be fresh; none: a constant index."""

    at: Timestamp
    sources: tuple[PriceSource, ...]
    quorum: int
    v: Literal[1] = 1


class PriceReported(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="price.reported"):
    """A source saw this price (nanos) at `observed_at`."""

    at: Timestamp
    source: str
    price: Nanos
    observed_at: Timestamp
    v: Literal[1] = 1


class IndexSet(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="index.set"):
    """The constant index of a market without price sources moves; the mark follows from it."""

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
    """Time has come to `at`: what is due expires, is sampled or is paid, and the mark follows the book."""

    at: Timestamp
    v: Literal[1] = 1


class LiquidationOrdered(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="liquidation.ordered"
):
    """A step of a liquidation, or a sale of the insurance fund: a reduce-only IOC order that no filter and no band stops.

    `liquidation` and `step` name it. `price` (ticks) is its limit. `equity_elsewhere` (micros) is the account's wallet and its
    unrealized profit in all other markets: with the position here it is the equity that bounds the liquidation fee.
    """

    at: Timestamp
    user: int
    liquidation: int
    step: int
    side: Side
    quantity: Lots
    price: Ticks
    equity_elsewhere: Micros
    leverage: int
    v: Literal[1] = 1


class TakeOverOrdered(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="take_over.ordered"):
    """The insurance fund takes over the account's position: `lots` and `cost` are what it must still be.

    `amount` (micros, signed like the cost) is what the whole position is settled at: V of docs/semantics.md, "Liquidation".
    """

    at: Timestamp
    user: int
    liquidation: int
    step: int
    lots: int
    cost: Micros
    amount: Micros
    v: Literal[1] = 1


class Counterparty(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Whose position is closed against a bankrupt one, and by how many lots at the most."""

    user: int
    lots: Lots


class DeleveragingOrdered(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="deleveraging.ordered"
):
    """The account's position is closed against those of `counterparties`, best rank first, at the bankrupt amount.

    `lots`, `cost` and `amount` as in TakeOverOrdered; a part of the lots is settled at its part of the amount.
    """

    at: Timestamp
    user: int
    liquidation: int
    step: int
    lots: int
    cost: Micros
    amount: Micros
    counterparties: tuple[Counterparty, ...]
    v: Literal[1] = 1


UserCommand = OrderCreated | OrderCancelled
ForcedCommand = LiquidationOrdered | TakeOverOrdered | DeleveragingOrdered
Command = (
    MarketListed
    | OrderCreated
    | OrderCancelled
    | PriceSourcesSet
    | PriceReported
    | IndexSet
    | StatusSet
    | RulesSet
    | MarketBarrier
    | ClockTicked
    | LiquidationOrdered
    | TakeOverOrdered
    | DeleveragingOrdered
)
