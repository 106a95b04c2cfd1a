"""The book keeps places: one suite over the fast book and the obvious one."""

import sys

import pytest

from exchange.engine.book import Book, NotResting
from exchange.engine.order import Order
from schemas.orders import Side
from schemas.units import Lots, Ticks
from tests.exchange.builders import ANN, BUY, SELL
from tests.exchange.reference_book import ReferenceBook

AnyBook = Book | ReferenceBook


@pytest.fixture(params=[Book, ReferenceBook])
def book(request: pytest.FixtureRequest) -> AnyBook:
    """An empty book of either kind."""
    made: AnyBook = request.param()
    return made


def place(book: AnyBook, number: int, side: Side, lots: int, price: int) -> Order:
    """Add an order to the book."""
    order = Order(number, ANN, side, Ticks(price), Lots(lots))
    book.add(order)
    return order


def queue(book: AnyBook, side: Side) -> list[int]:
    """Numbers of one side, next to trade first."""
    return [order.order_seq for order in book.walk(side)]


def best_number(book: AnyBook, side: Side) -> int | None:
    """Number of the order that trades next."""
    order = book.best(side)
    return order.order_seq if order is not None else None


def test_an_empty_book_has_no_best_order(book: AnyBook) -> None:
    """No order rests, so none is next."""
    assert book.best(BUY) is None
    assert book.best(SELL) is None
    assert len(book) == 0
    assert list(book.depth(BUY)) == []


def test_the_highest_buy_and_the_lowest_sell_are_next(book: AnyBook) -> None:
    """Price comes before time."""
    for number, side, price in (
        (1, BUY, 98),
        (2, BUY, 99),
        (3, BUY, 97),
        (4, SELL, 102),
        (5, SELL, 101),
        (6, SELL, 103),
    ):
        place(book, number, side, 1, price)
    assert queue(book, BUY) == [2, 1, 3]
    assert queue(book, SELL) == [5, 4, 6]
    assert (best_number(book, BUY), best_number(book, SELL)) == (2, 5)


def test_at_one_price_the_oldest_is_next(book: AnyBook) -> None:
    """Time decides between equals: the first to arrive, not the lower number."""
    for number in (3, 1, 2):
        place(book, number, SELL, 1, 101)
    assert queue(book, SELL) == [3, 1, 2]


def test_an_order_that_shrinks_keeps_its_place(book: AnyBook) -> None:
    """Taking lots off does not send an order to the back of the queue."""
    first = place(book, 1, BUY, 5, 99)
    place(book, 2, BUY, 5, 99)
    book.reduce(first, 4)
    assert queue(book, BUY) == [1, 2]
    assert first.remaining == 1
    assert list(book.depth(BUY)) == [(99, 6)]


def test_an_order_leaves_with_its_last_lot(book: AnyBook) -> None:
    """An order of which nothing remains is not in the book, and the next price becomes the best."""
    first = place(book, 1, SELL, 5, 101)
    place(book, 2, SELL, 5, 102)
    book.reduce(first, 5)
    assert (first.remaining, book.find(1), best_number(book, SELL)) == (0, None, 2)
    assert list(book.depth(SELL)) == [(102, 5)]


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_an_order_can_leave_from_anywhere_in_the_queue(book: AnyBook, gone: int) -> None:
    """Front, middle and back: the others keep their order, and the one who left keeps what remained."""
    orders = {number: place(book, number, BUY, number, 99) for number in (1, 2, 3)}
    book.remove(orders[gone])
    assert queue(book, BUY) == [number for number in (1, 2, 3) if number != gone]
    assert orders[gone].remaining == gone
    assert list(book.depth(BUY)) == [(99, 6 - gone)]


def test_an_order_that_comes_back_is_last_in_its_queue(book: AnyBook) -> None:
    """A place in the queue is lost by leaving it."""
    first = place(book, 1, SELL, 5, 101)
    place(book, 2, SELL, 5, 101)
    book.remove(first)
    book.add(first)
    assert queue(book, SELL) == [2, 1]


def test_depth_sums_the_lots_of_a_price(book: AnyBook) -> None:
    """Depth shows each price once, best first, with all lots that wait there."""
    for number, lots, price in ((1, 2, 99), (2, 3, 98), (3, 4, 99)):
        place(book, number, BUY, lots, price)
    assert list(book.depth(BUY)) == [(99, 6), (98, 3)]


def test_a_price_level_can_be_emptied_and_filled_again(book: AnyBook) -> None:
    """An emptied price leaves no trace, and works again when someone comes."""
    for number in (1, 2, 3):
        order = place(book, number, SELL, 1, 101)
        assert best_number(book, SELL) == number
        book.remove(order)
        assert book.best(SELL) is None


def test_changing_an_order_that_does_not_rest_is_a_bug_of_ours() -> None:
    """The fast book refuses to touch an order that is not in it."""
    book = Book()
    unknown = Order(7, ANN, BUY, Ticks(99), Lots(5))
    with pytest.raises(NotResting) as removed:
        book.remove(unknown)
    with pytest.raises(NotResting) as reduced:
        book.reduce(unknown, 1)
    assert (removed.value.order_seq, reduced.value.order_seq) == (7, 7)
    assert unknown.remaining == 5


def test_an_order_that_leaves_the_book_keeps_no_references() -> None:
    """The collector does not see orders: links that stay would keep them alive forever."""
    book = Book()
    orders = [place(book, number, BUY, 1, 99) for number in (1, 2, 3)]
    for order in orders:
        book.remove(order)
    assert len(book) == 0
    assert [(order.level, order.prev, order.next) for order in orders] == [(None, None, None)] * 3


def test_a_discarded_book_keeps_no_order_in_memory() -> None:
    """An engine drops a market whenever it hands it over, undoes a command or passes over a snapshot."""
    count = 1_000

    def fill_and_discard() -> None:
        book = Book()
        for number in range(count):
            place(book, number, (BUY, SELL)[number % 2], 1, 99 + number % 7)

    fill_and_discard()
    before = sys.getallocatedblocks()
    fill_and_discard()
    assert sys.getallocatedblocks() - before < count / 10


def test_an_order_is_printed_without_its_neighbours() -> None:
    """The links would lead the printer through the whole queue."""
    book = Book()
    order = place(book, 1, BUY, 5, 99)
    place(book, 2, BUY, 5, 99)
    assert repr(order) == "<1 of 1: BUY 5 at 99>"
