"""What holds after every command, whatever was asked."""

from exchange.market import Market
from exchange.reduce_only import reducible
from exchange.snapshot import dump, load
from schemas.events import Event, TradeExecuted
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
        assert {order.number for order in orders if order.expires_at} == {
            number for _, number in market.timed if market.book.find(number) in orders
        }


def check_money(market: Market, events: list[Event]) -> None:
    """Sizes sum to zero, flat positions are gone, and all profit realized is the sum of the costs that remain."""
    positions = market.positions.values()
    trades = [event for event in events if isinstance(event, TradeExecuted)]
    assert sum(position.lots for position in positions) == 0
    assert all(position.lots for position in positions)
    assert sum(t.maker.realized + t.taker.realized for t in trades) == sum(position.cost for position in positions)
    assert [trade.trade for trade in trades] == list(range(1, market.trade_seq + 1))


def check_reduce_only(market: Market) -> None:
    """The reduce-only orders of an account are on one side and do not exceed its position; the index agrees."""
    resting: dict[int, list[int]] = {}
    for side in Side:
        for order in market.book.walk(side):
            if order.reduce_only:
                resting.setdefault(order.user, []).append(order.number)
                assert market.reduce_only[order.user].side is side
    assert {user: sorted(group.orders) for user, group in market.reduce_only.items()} == {
        user: sorted(numbers) for user, numbers in resting.items()
    }
    for user, group in market.reduce_only.items():
        assert group.lots == sum(order.remaining for order in group.orders.values())
        assert group.lots <= reducible(market, user, group.side)


def check_snapshot(market: Market) -> None:
    """Dumped and loaded, the market is the same."""
    state = dump(market)
    assert dump(load(state)) == state
