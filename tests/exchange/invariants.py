"""Invariants that hold after every command."""

from exchange.engine.conditional.order import Stage
from exchange.engine.indexes.expiries import NEVER
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
from schemas.market import MarketStatus
from schemas.orders import Side, WorkingType
from tests.exchange.builders import Driver


def check_all(driver: Driver) -> None:
    """All of them."""
    market = driver.market
    check_book(market)
    check_money(market, driver.events)
    check_reduce_only(market)
    check_waiting(market)
    check_countdowns(market)
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


def check_waiting(market: Market) -> None:
    """Where conditions fire none that holds is left; legs sleep only before their parent; groups and expiries name what is there."""
    prices = {WorkingType.MARK: market.mark, WorkingType.LAST: market.last_price}
    prices[WorkingType.INDEX] = market.spec.mark_of_index(market.index)
    for seq, order in market.waiting.orders.items():
        assert order.order_seq == seq
        assert order.remaining > 0 or (order.closes_position and order.stage is not Stage.TRIGGERED)
        if order.stage is Stage.AWAKE and market.status in {MarketStatus.ACTIVE, MarketStatus.SETTLEMENT_ONLY}:
            assert not (prices[order.working_type] and order.holds_at(prices[order.working_type]))
        if order.stage is Stage.ASLEEP:
            assert order.parent > market.command_seq or _is_there(market, order.parent)
        if order.stage is Stage.TRIGGERED and order.reduce_only:
            assert reducible(market, order.user, order.side)
    for group, members in market.groups:
        assert members
        assert all(_is_there(market, seq) and market.groups.group_of[seq] == group for seq in members)
    assert {number for _, number in market.expiries if number in market.waiting.orders} == {
        seq for seq, order in market.waiting.orders.items() if order.expires_at is not None
    }


def _is_there(market: Market, order_seq: int) -> bool:
    return order_seq in market.waiting.orders or market.book.find(order_seq) is not None


def check_countdowns(market: Market) -> None:
    """Every running timer is known by its time, and of each watched account exactly the resting orders."""
    running = market.countdowns.by_user
    assert market.countdowns.first_at == min((each.deadline for each in running.values()), default=NEVER)
    assert running.keys() <= market.watched.by_user.keys()
    for user in market.watched.by_user:
        orders = [*market.book.walk(Side.BUY), *market.book.walk(Side.SELL), *market.waiting.orders.values()]
        own = [order for order in orders if order.user == user]
        assert market.orders_of(user) == sorted(own, key=lambda order: order.order_seq)


def check_snapshot(market: Market) -> None:
    """Dumped and loaded, the market is the same."""
    state = dump(market)
    assert dump(load(state)) == state
