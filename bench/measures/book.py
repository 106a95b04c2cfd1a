"""P4: the book alone, compared with orjson decoding the same orders from JSON; and a book of 100,000 orders compared with a small one.

The book gets every operation decoded separately, as off a log: a cancel has its own numbers instead of pointing at
those of the order it ends, and of an order that rests nothing is held but by the book.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import orjson

from bench.load.flow import Flow, Operation, commands, do
from bench.quiet_collector import quiet_collector
from bench.result import Bar, Outcome, compared
from bench.sizes import Size
from exchange.engine.book import Book
from schemas.wire import encode

SMALL_BOOK = 2_000
AGAINST_ORJSON = Bar(0.67)
BIG_AGAINST_SMALL = Bar(0.62)
_read = msgspec.json.Decoder(Operation).decode


class Stream(NamedTuple):
    """A book's first orders, and the operations that are then timed; each operation as JSON."""

    before: list[bytes]
    timed: list[bytes]


def measure(size: Size) -> Outcome:
    """Rounds of orjson, the small book and the big one in turn."""
    small = _stream(1, SMALL_BOOK, size.book_operations)
    big = _stream(2, size.big_book, size.book_operations)
    bodies = [encode(command) for command in commands([_read(operation) for operation in small.timed])]
    rates: dict[str, list[float]] = {"orjson": [], "small": [], "big": []}
    for _ in range(size.book_rounds):
        rates["orjson"].append(_rate(lambda: _decode(bodies), len(bodies)))
        rates["small"].append(_book_rate(small))
        rates["big"].append(_book_rate(big))
    mean_bytes = sum(map(len, bodies)) / len(bodies)
    return Outcome(
        [
            compared("P4", "book alone", "orders/s", rates["small"], ("orjson.loads", rates["orjson"]), AGAINST_ORJSON),
            compared(
                "P4",
                f"book of {size.big_book:,} orders",
                "orders/s",
                rates["big"],
                (f"book of {SMALL_BOOK:,}", rates["small"]),
                BIG_AGAINST_SMALL,
            ),
        ],
        notes=[f"P4: orjson decodes the commands of the log, {mean_bytes:.0f} bytes each on average."],
    )


def _stream(seed: int, resting: int, count: int) -> Stream:
    flow = Flow(seed)
    return Stream(_written(flow.resting(resting)), _written(flow.mixed(count)))


def _written(operations: list[Operation]) -> list[bytes]:
    return [msgspec.json.encode(operation) for operation in operations]


def _book_rate(stream: Stream) -> float:
    book = Book()
    for operation in stream.before:
        do(book, _read(operation))
    timed = [_read(operation) for operation in stream.timed]
    return _rate(lambda: _work(book, timed), len(timed))


def _work(book: Book, operations: list[Operation]) -> None:
    for operation in operations:
        do(book, operation)


def _decode(bodies: list[bytes]) -> None:
    for body in bodies:
        orjson.loads(body)


def _rate(work: Callable[[], None], count: int) -> float:
    """In processor time: nothing here waits, and other load on the machine does not count."""
    with quiet_collector():
        began = time.process_time()
        work()
        return count / (time.process_time() - began)
