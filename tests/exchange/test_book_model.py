"""The fast book agrees with the obvious one on every operation; and it stays small."""

import tracemalloc

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exchange.engine.book import Book
from exchange.engine.order import Order
from schemas.orders import Side
from schemas.units import Lots, Ticks
from tests.exchange.builders import ANN, BUY
from tests.exchange.reference_book import ReferenceBook


class TwoBooks(RuleBasedStateMachine):
    """Everything is done to both books; they must never differ in any answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fast, self.obvious = Book(), ReferenceBook()
        self.number = 0

    @rule(side=st.sampled_from(Side), price=st.integers(95, 105), lots=st.integers(1, 9))
    def add(self, side: Side, price: int, lots: int) -> None:
        """A new order joins both."""
        self.number += 1
        for book in (self.fast, self.obvious):
            book.add(Order(self.number, ANN, side, Ticks(price), Lots(lots)))

    @precondition(lambda self: len(self.obvious))
    @rule(choice=st.integers(0, 99))
    def remove(self, choice: int) -> None:
        """Some order leaves both."""
        number = self.obvious.waiting[choice % len(self.obvious)].order_seq
        for book in (self.fast, self.obvious):
            order = book.find(number)
            assert order is not None
            book.remove(order)

    @precondition(lambda self: len(self.obvious))
    @rule(choice=st.integers(0, 99), share=st.integers(1, 9))
    def reduce(self, choice: int, share: int) -> None:
        """Some order loses lots in both, perhaps its last."""
        number = self.obvious.waiting[choice % len(self.obvious)].order_seq
        for book in (self.fast, self.obvious):
            order = book.find(number)
            assert order is not None
            book.reduce(order, min(share, order.remaining))

    @invariant()
    def they_agree(self) -> None:
        """Best, queue and depth of both sides agree."""
        assert len(self.fast) == len(self.obvious)
        for side in Side:
            assert repr(self.fast.best(side)) == repr(self.obvious.best(side))
            assert [repr(o) for o in self.fast.walk(side)] == [repr(o) for o in self.obvious.walk(side)]
            assert list(self.fast.depth(side)) == list(self.obvious.depth(side))


TestTwoBooks = TwoBooks.TestCase
TestTwoBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_resting_order_takes_at_most_360_bytes() -> None:
    """Bar P7, on 20,000 orders at 200 prices, all numbers too large to be shared."""
    count = 20_000
    tracemalloc.start()
    try:
        book = Book()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(10**9, 10**9 + count):
            book.add(Order(number, number * 2, BUY, Ticks(10**6 + number % 200), Lots(10**4 + number)))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert used <= 360 * count
