"""Invariants that hold after every command."""

from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from exchange.engine.reduce_only import reducible
from schemas.events import (
    Event,
    FundingPaid,
    FundingSettled,
    PositionsSettled,
    PositionTransferred,
    TradeExecuted,
)
from schemas.orders import Side
from tests.exchange.builders import Driver


def check_all(driver: Driver) -> None:
    """All of them."""
    market = driver.market
    check_book(market)
    check_money(market, driver.events)
    check_reduce_only(market)
    check_snapshot(market)
    assert [event.seq for event in driver.events] == list(range(1, market.event_seq + 1))
    assert {event.command for event in driver.events} == set(range(1, market.command_seq + 1))


def check_book(market: Market) -> None:
    """The book is not crossed, no order in it is empty, and depth is the sum of the orders."""
    buy, sell = market.book.best(Side.BUY), market.book.best(Side.SELL)
    assert buy is None or sell is None or buy.price < sell.price
    for side in Side:
        orders = list(market.book.walk(side))
        assert all(order.remaining > 0 for order in orders)
        assert sum(lots for _, lots in market.book.depth(side)) == sum(order.remaining for order in orders)
        assert {order.order_seq for order in orders if order.expires_at} == {
            number for _, number in market.expiries if market.book.find(number) in orders
        }


def check_money(market: Market, events: list[Event]) -> None:
    """Sizes sum to zero, flat positions are gone, all profit realized is the sum of the costs that remain, and every
    funding sums to zero with its residue."""
    positions = market.positions.values()
    assert sum(position.lots for position in positions) == 0
    assert all(position.lots and position.opened_seq for position in positions)
    assert sum(map(_realized, events)) == sum(position.cost for position in positions)
    trades = [event.trade for event in events if isinstance(event, TradeExecuted | PositionTransferred)]
    assert trades == list(range(1, market.trade_seq + 1))
    residues = sum(event.residue for event in events if isinstance(event, FundingSettled))
    paid = sum(each.amount for event in events if isinstance(event, FundingPaid) for each in event.payments)
    assert residues + paid == 0


def _realized(event: Event) -> int:
    match event:
        case TradeExecuted():
            return event.maker.realized + event.taker.realized
        case PositionTransferred():
            return event.bankrupt.realized + event.counterparty.realized
        case PositionsSettled():
            return sum(each.realized for each in event.settlements)
        case _:
            return 0


def check_reduce_only(market: Market) -> None:
    """The reduce-only orders of an account are on one side and do not exceed its position; the index agrees."""
    resting: dict[int, list[int]] = {}
    for side in Side:
        for order in market.book.walk(side):
            if order.reduce_only:
                resting.setdefault(order.user, []).append(order.order_seq)
                assert market.reduce_only.groups[order.user].side is side
    assert {user: sorted(group.orders) for user, group in market.reduce_only.groups.items()} == {
        user: sorted(numbers) for user, numbers in resting.items()
    }
    for user, group in market.reduce_only.groups.items():
        assert group.lots == sum(order.remaining for order in group.orders.values())
        assert group.lots <= reducible(market, user, group.side)


def check_snapshot(market: Market) -> None:
    """Dumped and loaded, the market is the same."""
    state = dump(market)
    assert dump(load(state)) == state
