"""The events of each command. Longer scenarios are in tests/exchange/stories."""

import pytest

from exchange.engine.engine import apply
from exchange.engine.market import empty_market
from exchange.errors import EngineError, ForeignLog, SequenceGap
from schemas.commands import Command
from schemas.events import (
    BarrierPassed,
    CancelRefused,
    ClockAdvanced,
    CountdownChanged,
    Event,
    MarketOpened,
    MarkMoved,
    OrderAccepted,
    OrderEnded,
    OrderShrunk,
    SpecChanged,
    StatusChanged,
    TradeExecuted,
)
from schemas.market import MarketStatus
from schemas.orders import CountdownScope, EndReason, FillCause, OrderStatus, OrderType, TimeInForce
from schemas.units import Micros
from tests.exchange.builders import (
    ANN,
    BOB,
    BUY,
    USDC,
    Driver,
    barrier,
    buy,
    cancel,
    cancel_all,
    countdown,
    index,
    listed,
    sell,
    small_spec,
    status,
    tick,
    tiers,
)


def test_the_first_command_opens_the_market() -> None:
    """A listed market has its rules, its status, the reference price as index, and the mark that follows."""
    driver = Driver()
    assert driver.events == [
        MarketOpened(1, 1, 0, small_spec(), MarketStatus.ACTIVE, 100 * 10**9, 100),
    ]


def test_an_accepted_order_is_reported_with_all_its_terms() -> None:
    """The accepted event carries the whole order, so that a reader needs nothing else."""
    order = buy(
        ANN,
        5,
        99,
        at=7,
        time_in_force=TimeInForce.GTD,
        expires_at=50,
        post_only=True,
        client_order_id="mine",
    )
    (event,) = Driver().send(order)
    assert isinstance(event, OrderAccepted)
    assert (event.seq, event.command, event.at, event.order) == (2, 2, 7, 2)
    for name in set(OrderAccepted.__struct_fields__) - {"seq", "command", "at", "order", "v"}:
        assert getattr(event, name) == getattr(order, name)


def test_a_trade_has_the_results_of_both_parties() -> None:
    """Bob takes 2 of Ann's 5 at 100: fees of 1 % and 2 % of 200, positions, costs, and what remains of each order."""
    driver = Driver()
    accepted, trade = driver.send(sell(ANN, 5, 100), buy(BOB, 2, 101, at=9))
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(trade, TradeExecuted)
    assert (trade.seq, trade.command, trade.at, trade.trade) == (4, 3, 9, 1)
    assert (trade.price, trade.quantity, trade.notional, trade.taker_side) == (100, 2, 200 * USDC, BUY)
    assert trade.cause is FillCause.TRADE
    maker, taker = trade.maker, trade.taker
    assert (maker.order, maker.user, maker.remaining, maker.fee) == (2, ANN, 3, 2 * USDC)
    assert (maker.position, maker.cost, maker.realized) == (-2, -200 * USDC, 0)
    assert (taker.order, taker.user, taker.remaining, taker.fee) == (3, BOB, 0, 4 * USDC)
    assert (taker.position, taker.cost, taker.realized) == (2, 200 * USDC, 0)


def test_a_trade_that_closes_has_the_profit() -> None:
    """Bob bought 2 at 100 and sells 1 at 103: 3 realized, in this trade and since the position was opened."""
    driver = Driver()
    driver.send(sell(ANN, 2, 100), buy(BOB, 2, 100), buy(ANN, 2, 103))
    trade = driver.send(sell(BOB, 1, 103))[-1]
    assert isinstance(trade, TradeExecuted)
    assert (trade.taker.realized, trade.taker.position_realized, trade.taker.cost) == (3 * USDC, 3 * USDC, 100 * USDC)
    assert (trade.maker.realized, trade.maker.position) == (-3 * USDC, -1)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"reduce_only": True}, EndReason.REDUCE_ONLY),
        ({"post_only": True}, EndReason.POST_ONLY_WOULD_TAKE),
        ({"valid_until": 0}, EndReason.TIMED_OUT),
        ({"loss_per_lot": 0, "price": 200}, EndReason.PRICE_BAND),
    ],
)
def test_an_order_that_the_market_refuses_ends_without_having_been_accepted(
    terms: dict[str, int], reason: EndReason
) -> None:
    """Only the end is reported, with the whole quantity released."""
    driver = Driver()
    driver.send(sell(ANN, 5, 100))
    (event,) = driver.send(buy(BOB, 3, terms.pop("price", 100), **terms))
    assert isinstance(event, OrderEnded)
    assert (event.reason, event.remaining) == (reason, 3)


def test_an_order_that_was_accepted_ends_last() -> None:
    """First the acceptance, then the trades, then the end of what does not rest."""
    driver = Driver()
    driver.send(sell(ANN, 2, 100))
    events = driver.send(buy(BOB, 3, 100, time_in_force=TimeInForce.IOC))
    assert [type(event) for event in events] == [OrderAccepted, TradeExecuted, OrderEnded]


def test_a_killed_order_was_accepted_before() -> None:
    """FOK is judged by matching, so it is accepted first."""
    events = Driver().send(buy(BOB, 3, 100, time_in_force=TimeInForce.FOK))
    assert [type(event) for event in events] == [OrderAccepted, OrderEnded]


def test_an_order_filled_whole_has_no_other_end() -> None:
    """A trade that leaves nothing remaining is the end."""
    driver = Driver()
    driver.send(sell(ANN, 3, 100))
    events = driver.send(buy(BOB, 3, 100))
    assert [type(event) for event in events] == [OrderAccepted, TradeExecuted]


def test_a_cut_at_arrival_is_reported_after_the_acceptance() -> None:
    """Of 5 lots against a position of 3, two are cut: accepted with 5, shrunk to 3."""
    driver = Driver()
    driver.send(sell(ANN, 3, 100), buy(BOB, 3, 100))
    accepted, shrunk = driver.send(sell(BOB, 5, 101, reduce_only=True))
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(shrunk, OrderShrunk)
    assert (accepted.quantity, shrunk.by, shrunk.remaining, shrunk.order) == (5, 2, 3, 4)


def test_an_initializing_market_accepts_post_only_orders_alone() -> None:
    """The book is filled before it trades."""
    driver = Driver(listed(status=MarketStatus.INITIALIZING))
    (refused,) = driver.send(buy(ANN, 1, 99))
    (taken,) = driver.send(buy(ANN, 1, 99, post_only=True))
    assert isinstance(refused, OrderEnded)
    assert (refused.status, refused.reason) == (OrderStatus.REJECTED, EndReason.MARKET_STATUS)
    assert isinstance(taken, OrderAccepted)


def test_an_active_market_never_goes_back_to_initializing() -> None:
    """The answer gives the status that remains active."""
    assert Driver().send(status(MarketStatus.INITIALIZING)) == [
        StatusChanged(2, 2, 1, MarketStatus.ACTIVE, MarketStatus.ACTIVE)
    ]


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (barrier("b-1"), BarrierPassed(2, 2, 1, "b-1")),
        (
            tiers(500, limit=900),
            SpecChanged(
                2,
                2,
                1,
                small_spec(risk_tiers=tiers(500).risk_tiers, open_interest_max=Micros(900 * USDC)),
            ),
        ),
        (tick(5), ClockAdvanced(2, 2, 5)),
        (index(103), MarkMoved(2, 2, 1, 103 * 10**9, 103)),
        (status(MarketStatus.HALTED), StatusChanged(2, 2, 1, MarketStatus.HALTED, MarketStatus.HALTED)),
        (cancel(ANN, 9), CancelRefused(2, 2, 1, 9, ANN)),
        (cancel_all(ANN, 9, 8), CancelRefused(2, 2, 1, 9, ANN)),
        (countdown(ANN, 0), CountdownChanged(2, 2, 1, ANN, None, CountdownScope.ALL)),
    ],
)
def test_every_command_is_answered(command: Command, event: Event) -> None:
    """Progress follows from events alone, so none may be missing."""
    assert Driver().send(command) == [event]


def test_a_cancel_all_ends_what_still_rests_of_its_orders_in_their_order() -> None:
    """Of ann's 2, 3 and 5 the second was filled; bob's 4 is not hers to cancel, whatever the list says; 6 is not in it."""
    driver = Driver()
    driver.send(buy(ANN, 1, 98), sell(ANN, 2, 101), buy(BOB, 2, 101), buy(ANN, 3, 97), buy(ANN, 4, 96), buy(BOB, 1, 95))
    ended = driver.send(cancel_all(ANN, 5, 2, 3, 7, 5))
    assert [(each.order, each.reason, each.remaining) for each in ended if isinstance(each, OrderEnded)] == [
        (5, EndReason.USER, 3),
        (2, EndReason.USER, 1),
    ]
    assert len(ended) == 2
    assert [order.order_seq for order in driver.market.book.walk(BUY)] == [6, 7]


def test_a_cancel_all_after_an_expiry_in_its_own_command_is_answered() -> None:
    """The only order it names expires at that moment: the answer is that nothing was left to cancel."""
    driver = Driver()
    driver.send(buy(ANN, 1, 98, time_in_force=TimeInForce.GTD, expires_at=5))
    expired, refused = driver.send(cancel_all(ANN, 2, at=5))
    assert isinstance(expired, OrderEnded)
    assert expired.reason is EndReason.GTD_EXPIRED
    assert refused == CancelRefused(4, 3, 5, 2, ANN)


def test_the_clock_never_goes_back() -> None:
    """A command with an earlier time, from a slower machine, does not revive what has expired."""
    driver = Driver()
    driver.send(tick(50))
    (event,) = driver.send(sell(ANN, 1, 101, at=10, time_in_force=TimeInForce.GTD, expires_at=40))
    assert isinstance(event, OrderEnded)
    assert (event.reason, event.at, driver.market.clock) == (EndReason.GTD_EXPIRED, 10, 50)


def test_a_market_order_never_rests() -> None:
    """Not even when its time in force is good till cancelled."""
    driver = Driver()
    events = driver.send(buy(ANN, 1, 101, order_type=OrderType.MARKET))
    assert isinstance(events[-1], OrderEnded)
    assert len(driver.market.book) == 0


@pytest.mark.parametrize("seq", [1, 3])
def test_a_command_out_of_sequence_is_a_bug_of_ours(seq: int) -> None:
    """Neither a repeated nor a skipped command is applied, and the market is left as it was."""
    driver = Driver()
    with pytest.raises(SequenceGap) as raised:
        apply(driver.market, seq, tick(5))
    assert (raised.value.expected, raised.value.got) == (2, seq)
    assert (driver.market.command_seq, driver.market.clock) == (1, 0)


def test_a_log_starts_with_the_listing_of_its_market_and_lists_it_once() -> None:
    """Anything else is the log of someone else."""
    with pytest.raises(ForeignLog):
        apply(empty_market("TEA-PERP"), 1, tick(5))
    with pytest.raises(ForeignLog):
        apply(empty_market("BEER-PERP"), 1, listed())
    with pytest.raises(EngineError):
        Driver().send(listed())
