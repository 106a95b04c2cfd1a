"""The commands that a market accepts: the closed union in `engine.commands.{market}`.

A command carries every id, time and price that the engine needs; the engine never looks one up. The sequence number of
an order is the `seq` of the command that placed it. Class names are imperatives; the wire tags are older and stay.
"""

from typing import Literal

import msgspec

from schemas.market import RULES_FIRST, MarketSpec, MarketStatus, PriceSource
from schemas.orders import CountdownScope, EndReason, OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.risk_tiers import RiskTier
from schemas.units import Lots, Micros, Nanos, Ppm, Ticks, Timestamp


class CommandBase(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type"):
    """The configuration that all commands share (mypy wants `frozen` repeated), and their first field, the time of the command."""

    at: Timestamp


class ListMarket(CommandBase, frozen=True, tag="market.listed"):
    """List the market: the first command of every log. Says its parameters, its status and the rules version it starts with."""

    spec: MarketSpec
    status: MarketStatus
    rules: int = RULES_FIRST
    v: Literal[1] = 1


class PlaceOrder(CommandBase, frozen=True, tag="order.created"):
    """Place an order that has passed validation and the margin check.

    `price` is the limit, or the protection price of a market order. `margin_price` (ticks), `loss_per_lot` and
    `fee_per_lot` (micros) are what the order adds to its account's margin sums per remaining lot.
    """

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
    oco_group: str | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = 1


class PlaceConditional(CommandBase, frozen=True, tag="conditional.created"):
    """Place an order that waits for a condition (docs/semantics.md, "Conditional orders").

    `trigger` (ticks) is what the working price must reach, 0 of a trailing order, which has `callback_rate` (ppm) and, unless it is
    active at once, `activation` (ticks). `price` is the limit, 0 of the market types. `quantity` is 0 where the order closes the
    position, whatever it is then.

    `parent_after`: an attached take-profit or stop-loss comes this many commands before the order that it belongs to, and
    sleeps until that one fills; 0 of any other.
    """

    user: int
    side: Side
    order_type: OrderType
    working_type: WorkingType
    trigger: Ticks
    quantity: Lots
    price: Ticks
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    closes_position: bool
    self_trade_prevention: SelfTradePrevention
    leverage: int
    callback_rate: Ppm = Ppm(0)
    activation: Ticks = Ticks(0)
    client_order_id: str | None = None
    expires_at: Timestamp | None = None
    valid_until: Timestamp | None = None
    oco_group: str | None = None
    parent_after: int = 0
    v: Literal[1] = 1


class ActivateOrder(CommandBase, frozen=True, tag="conditional.activated"):
    """Let a triggered order that may open a position enter the book: margin is reserved for it at these terms, as in PlaceOrder."""

    user: int
    order: int
    price: Ticks
    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros
    leverage: int
    v: Literal[1] = 1


class CancelOrder(CommandBase, frozen=True, tag="order.cancelled"):
    """Cancel the user's order `order` (its sequence number in this market), because the user or the margin check asks for it."""

    user: int
    order: int
    reason: EndReason = EndReason.USER
    v: Literal[1] = 1


class AmendOrder(CommandBase, frozen=True, tag="order.amend_requested"):
    """Amend the user's order `order` (its sequence number in this market).

    `added` (signed lots) is the new total less the old one: the engine adds it to what remains. Without a `price` (ticks) the price
    stays, wherever the resting band has moved it. `post_only` and `self_trade_prevention` are the order's. The next three are
    what it adds to the margin sums per lot from the amend on. `trigger` (ticks) is there only where the order waits for its condition,
    0 where its trigger stays: once it has fired it is amended no more, for its margin is then that of a live order.
    """

    user: int
    order: int
    added: int
    price: Ticks | None
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros
    trigger: Ticks | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = 1


class CancelOrders(CommandBase, frozen=True, tag="orders.cancelled"):
    """Cancel those of the user's `orders` (sequence numbers in this market, at least one) that still rest, in this order."""

    user: int
    orders: tuple[int, ...]
    reason: EndReason = EndReason.USER
    v: Literal[1] = 1


class SetCountdown(CommandBase, frozen=True, tag="countdown.set"):
    """Replace the user's timer in this market: their orders here end when it has run out. 0 ms stops it.

    It has its length, not its end: `at` may be corrected when the command is numbered (docs/adr/0009), and the end moves with it.
    """

    user: int
    countdown_ms: int
    scope: CountdownScope = CountdownScope.ALL
    v: Literal[1] = 1


class SetPriceSources(CommandBase, frozen=True, tag="price_sources.set"):
    """Set the price sources of the index, and how many of them must be fresh. No sources: the index is constant."""

    sources: tuple[PriceSource, ...]
    quorum: int
    v: Literal[1] = 1


class ReportPrice(CommandBase, frozen=True, tag="price.reported"):
    """Report that a source saw this price (nanos) at `observed_at`."""

    source: str
    price: Nanos
    observed_at: Timestamp
    v: Literal[1] = 1


class SourcePrice(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The price (nanos) that a source saw at `observed_at`."""

    source: str
    price: Nanos
    observed_at: Timestamp


class ReportPrices(CommandBase, frozen=True, tag="prices.reported"):
    """Report what several sources saw: the same as a ReportPrice for each, in this order, at this time."""

    prices: tuple[SourcePrice, ...]
    v: Literal[1] = 1


class SetIndex(CommandBase, frozen=True, tag="index.set"):
    """Set the constant index of a market without price sources; the mark follows it."""

    index: Nanos
    v: Literal[1] = 1


class SetStatus(CommandBase, frozen=True, tag="market.status_set"):
    """Set the operator's status of the market."""

    status: MarketStatus
    v: Literal[1] = 1


class SetSpec(CommandBase, frozen=True, tag="market.spec_set"):
    """Set what may change of a market's specification: its risk tiers (none: one tier) and its open-interest limit (0: none).

    Only to a market with rules 4.
    """

    risk_tiers: tuple[RiskTier, ...]
    open_interest_max: Micros
    v: Literal[1] = 1


class SetRules(CommandBase, frozen=True, tag="rules.set"):
    """Move the market to a newer rules version. Every process that may own the market must know that version first."""

    rules: int
    v: Literal[1] = 1


class PassBarrier(CommandBase, frozen=True, tag="market.barrier"):
    """Pass a barrier: a drain waits until the projection has applied this command."""

    barrier: str
    v: Literal[1] = 1


class AdvanceClock(CommandBase, frozen=True, tag="clock.ticked"):
    """Advance the clock to `at`: what is due expires, is sampled or is paid, and the mark follows the book."""

    v: Literal[1] = 1


class Liquidate(CommandBase, frozen=True, tag="liquidation.ordered"):
    """Run a step of a liquidation, or a sale of the insurance fund: a reduce-only IOC order exempt from filters and bands.

    `liquidation` and `step` name it. `price` (ticks) is its limit. `equity_elsewhere` (micros) is the account's wallet and its
    unrealized profit in all other markets: with the position here it is the equity that bounds the liquidation fee.
    """

    user: int
    liquidation: int
    step: int
    side: Side
    quantity: Lots
    price: Ticks
    equity_elsewhere: Micros
    leverage: int
    v: Literal[1] = 1


class TakeOver(CommandBase, frozen=True, tag="take_over.ordered"):
    """Let the insurance fund take over the account's position, provided it is still `lots` at `cost`.

    `amount` (micros, signed like the cost) is what the whole position is settled at: V of docs/semantics.md, "Liquidation".
    `quantity` (lots, unsigned, from rules 2 on) is how much of it the fund takes, at its part of the amount; without it, all.
    """

    user: int
    liquidation: int
    step: int
    lots: int
    cost: Micros
    amount: Micros
    quantity: Lots | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = 1


class Counterparty(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Whose position is closed against a bankrupt one, and by how many lots at most."""

    user: int
    lots: Lots


class Deleverage(CommandBase, frozen=True, tag="deleveraging.ordered"):
    """Close the account's position against those of `counterparties`, best rank first, at the bankruptcy amount.

    `lots`, `cost` and `amount` are as in TakeOver; part of the lots is settled at its part of the amount.
    """

    user: int
    liquidation: int
    step: int
    lots: int
    cost: Micros
    amount: Micros
    counterparties: tuple[Counterparty, ...]
    v: Literal[1] = 1


UserCommand = PlaceOrder | PlaceConditional | ActivateOrder | CancelOrder | CancelOrders | AmendOrder | SetCountdown
Command = (
    ListMarket
    | PlaceOrder
    | PlaceConditional
    | ActivateOrder
    | CancelOrder
    | AmendOrder
    | CancelOrders
    | SetCountdown
    | SetPriceSources
    | ReportPrice
    | ReportPrices
    | SetIndex
    | SetStatus
    | SetSpec
    | SetRules
    | PassBarrier
    | AdvanceClock
    | Liquidate
    | TakeOver
    | Deleverage
)
