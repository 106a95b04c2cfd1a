"""Markets and commands for tests, in numbers small enough for the head.

The market of these tests counts in ones: tick 1 USDC, lot 1, mark 100, maker fee 1 %, taker fee 2 %, margin 10 %.
So a lot at 100 costs 100 USDC = 100,000,000 micros, and the resting band ends 5 % from the mark.
"""

from typing import Any

import msgspec

from exchange.engine.engine import apply
from exchange.engine.market import Market, empty_market
from schemas.commands import (
    ActivateOrder,
    AdvanceClock,
    AmendOrder,
    CancelOrder,
    CancelOrders,
    Command,
    Counterparty,
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
    SourcePrice,
    TakeOver,
)
from schemas.events import Event
from schemas.market import SEED_MARKETS, MarketSpec, MarketStatus, PriceSource
from schemas.orders import CountdownScope, OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.risk_tiers import RiskTier
from schemas.units import E18, Lots, Micros, Nanos, Ppm, Ticks, Timestamp
from schemas.wire import encode

USDC = 1_000_000
ANN, BOB, CAT, DAN = 1, 2, 3, 4
BUY, SELL = Side.BUY, Side.SELL


def small_spec(name: str = "TEA-PERP", **changes: Any) -> MarketSpec:
    """The market that counts in ones."""
    small = msgspec.structs.replace(
        SEED_MARKETS[0],
        market=name,
        base_asset="TEA",
        tick_size_e18=E18,
        lot_size_e18=E18,
        initial_margin_rate=Ppm(100_000),
        leverage_max=10,
        maker_fee_rate=Ppm(10_000),
        taker_fee_rate=Ppm(20_000),
        reference_price=Nanos(100 * 10**9),
    )
    return msgspec.structs.replace(small, **changes)


def listed(spec: MarketSpec | None = None, status: MarketStatus = MarketStatus.ACTIVE) -> ListMarket:
    """The command that lists a market, at time 0."""
    return ListMarket(Timestamp(0), spec or small_spec(), status)


def order(user: int, side: Side, lots: int, price: int, **options: Any) -> PlaceOrder:
    """An order as the submission would send it, good till cancelled by default; its loss at mark 100 is recorded."""
    loss = max(0, side.sign * (price - 100)) * USDC
    return PlaceOrder(
        at=Timestamp(options.pop("at", 1)),
        user=user,
        side=side,
        order_type=options.pop("order_type", OrderType.LIMIT),
        quantity=Lots(lots),
        price=Ticks(price),
        time_in_force=options.pop("time_in_force", TimeInForce.GTC),
        post_only=options.pop("post_only", False),
        reduce_only=options.pop("reduce_only", False),
        self_trade_prevention=options.pop("self_trade_prevention", SelfTradePrevention.EXPIRE_MAKER),
        margin_price=Ticks(price),
        loss_per_lot=Micros(options.pop("loss_per_lot", loss)),
        fee_per_lot=Micros(0),
        leverage=10,
        **options,
    )


def conditional(user: int, side: Side, lots: int, trigger: int, **options: Any) -> PlaceConditional:
    """A stop-market order of these lots, 0 to close the position, as the submission would send it."""
    return PlaceConditional(
        at=Timestamp(options.pop("at", 1)),
        user=user,
        side=side,
        order_type=options.pop("order_type", OrderType.STOP_MARKET),
        working_type=options.pop("working_type", WorkingType.MARK),
        trigger=Ticks(trigger),
        quantity=Lots(lots),
        price=Ticks(options.pop("price", 0)),
        time_in_force=options.pop("time_in_force", TimeInForce.GTC),
        post_only=options.pop("post_only", False),
        reduce_only=options.pop("reduce_only", not lots),
        closes_position=not lots,
        self_trade_prevention=options.pop("self_trade_prevention", SelfTradePrevention.EXPIRE_MAKER),
        leverage=10,
        **options,
    )


def activation(user: int, number: int, price: int, at: int = 1) -> ActivateOrder:
    """The submission has reserved the margin of a triggered order at this limit or protection price."""
    return ActivateOrder(Timestamp(at), user, number, Ticks(price), Ticks(price), Micros(0), Micros(0), 10)


def buy(user: int, lots: int, price: int, **options: Any) -> PlaceOrder:
    """A buy order."""
    return order(user, BUY, lots, price, **options)


def sell(user: int, lots: int, price: int, **options: Any) -> PlaceOrder:
    """A sell order."""
    return order(user, SELL, lots, price, **options)


def cancel(user: int, number: int, at: int = 1) -> CancelOrder:
    """The request of a user to cancel order `number`."""
    return CancelOrder(Timestamp(at), user, number)


def amend(user: int, number: int, added: int = 0, price: int | None = None, at: int = 1, **options: Any) -> AmendOrder:
    """The request of a user to amend order `number`: lots added to its total, and a new price unless that stays."""
    return AmendOrder(
        at=Timestamp(at),
        user=user,
        order=number,
        added=added,
        price=None if price is None else Ticks(price),
        post_only=options.pop("post_only", False),
        self_trade_prevention=options.pop("self_trade_prevention", SelfTradePrevention.EXPIRE_MAKER),
        margin_price=Ticks(options.pop("margin_price", price or 100)),
        loss_per_lot=Micros(options.pop("loss_per_lot", 0)),
        fee_per_lot=Micros(0),
        **options,
    )


def cancel_all(user: int, *numbers: int, at: int = 1) -> CancelOrders:
    """The request of a user to cancel all orders, which are these."""
    return CancelOrders(Timestamp(at), user, numbers)


def countdown(user: int, ms: int, at: int = 1, scope: CountdownScope = CountdownScope.ALL) -> SetCountdown:
    """The request of a user to have their orders ended in `ms`, or not at all with 0."""
    return SetCountdown(Timestamp(at), user, ms, scope)


def index(price: int, at: int = 1) -> SetIndex:
    """The index moves to a price in USDC."""
    return SetIndex(Timestamp(at), Nanos(price * 10**9))


def sources(*names: str, quorum: int, max_age_ms: int = 10_000, at: int = 1) -> SetPriceSources:
    """The index is made of these sources, each of weight 1."""
    return SetPriceSources(Timestamp(at), tuple(PriceSource(name, 1, max_age_ms) for name in names), quorum)


def price(source: str, usdc: int, at: int, observed_at: int | None = None) -> ReportPrice:
    """A source has seen a price in USDC, by default now."""
    seen_at = Timestamp(at if observed_at is None else observed_at)
    return ReportPrice(Timestamp(at), source, Nanos(usdc * 10**9), seen_at)


def together(*reports: ReportPrice) -> ReportPrices:
    """The same reports in one command, at the time of the first."""
    return ReportPrices(
        reports[0].at, tuple(SourcePrice(each.source, each.price, each.observed_at) for each in reports)
    )


def liquidation(user: int, side: Side, lots: int, limit: int, elsewhere: int = 0, *, step: int = 1) -> Liquidate:
    """A step of liquidation 1; `elsewhere` in USDC is what the account owns outside this market."""
    return Liquidate(
        at=Timestamp(1),
        user=user,
        liquidation=1,
        step=step,
        side=side,
        quantity=Lots(lots),
        price=Ticks(limit),
        equity_elsewhere=Micros(elsewhere * USDC),
        leverage=10,
    )


def take_over(user: int, lots: int, cost: int, amount: int, part: int = 0) -> TakeOver:
    """The fund takes a position over, or `part` lots of it; cost and amount in USDC."""
    named = (Timestamp(1), user, 1, 1, lots, Micros(cost * USDC), Micros(amount * USDC))
    return TakeOver(*named, Lots(part)) if part else TakeOver(*named)


def deleveraging(user: int, lots: int, cost: int, amount: int, *against: tuple[int, int]) -> Deleverage:
    """A position is closed against (user, lots) pairs; cost and amount in USDC."""
    named = (user, 1, 1, lots, Micros(cost * USDC), Micros(amount * USDC))
    return Deleverage(Timestamp(1), *named, tuple(Counterparty(who, Lots(n)) for who, n in against))


def status(value: MarketStatus, at: int = 1) -> SetStatus:
    """The operator sets the status."""
    return SetStatus(Timestamp(at), value)


def tiers(*borders: int, limit: int = 0, at: int = 1) -> SetSpec:
    """The operator sets risk tiers up to these notionals in USDC, at 10 % / 1 %, 20 % / 2 % ..., and an open-interest limit."""
    set_ = (
        RiskTier(Micros(border * USDC), Ppm(100_000 * n), Ppm(10_000 * n), 10 // n)
        for n, border in enumerate(borders, 1)
    )
    return SetSpec(Timestamp(at), tuple(set_), Micros(limit * USDC))


def rules(version: int, at: int = 1) -> SetRules:
    """The operator moves the market on to a rules version."""
    return SetRules(Timestamp(at), version)


def tick(at: int) -> AdvanceClock:
    """The time is `at`."""
    return AdvanceClock(Timestamp(at))


def barrier(name: str, at: int = 1) -> PassBarrier:
    """A drain waits for this."""
    return PassBarrier(Timestamp(at), name)


class Driver:
    """A market and its log: `send` numbers a command, applies it and returns the events."""

    def __init__(self, first: ListMarket | None = None) -> None:
        first = first or listed()
        self.market: Market = empty_market(first.spec.market)
        self.log: list[Command] = []
        self.events: list[Event] = []
        self.send(first)

    def send(self, *commands: Command) -> list[Event]:
        """Apply the commands in order; the events of the last one."""
        answer: list[Event] = []
        for command in commands:
            self.log.append(command)
            answer = apply(self.market, len(self.log), command)
            self.events += answer
        return answer

    @property
    def bytes(self) -> bytes:
        """All events so far, as they go out."""
        return b"\n".join(encode(event) for event in self.events)
