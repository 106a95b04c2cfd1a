"""Bar 2: the fast book against the obvious one, through the whole engine: command by command the same events."""

from collections.abc import Iterator

import pytest

from exchange.engine.engine import apply
from exchange.engine.market import Market, empty_market
from exchange.engine.order import Order
from exchange.engine.price_level import PriceLevel
from schemas.commands import Command
from schemas.wire import encode
from tests.exchange.builders import listed
from tests.exchange.reference_book import ReferenceBook
from tests.exchange.streams import long_course

COMMANDS_PER_MARKET = 1_000
SHORT, FULL = 4, 1_000
"""Markets, each with a thousand commands: a book that grows forever would only slow the obvious one down."""


def first_difference(seed: int) -> str | None:
    """Where the two markets part ways; None when they never do."""
    fast, obvious = empty_market("TEA-PERP"), empty_market("TEA-PERP")
    obvious.book = ReferenceBook()  # type: ignore[assignment]  # the same in all that it does
    for seq, command in enumerate(course(seed), 1):
        answers = [answer(market, seq, command) for market in (fast, obvious)]
        if answers[0] != answers[1]:
            return f"seed {seed}, command {seq}: {answers[0]!r}, the obvious book {answers[1]!r}"
    return None


def course(seed: int) -> Iterator[Command]:
    """A separate market."""
    yield listed()
    yield from long_course(seed, COMMANDS_PER_MARKET - 1)


def answer(market: Market, seq: int, command: Command) -> bytes:
    """The events, as they go out."""
    return b"\n".join(map(encode, apply(market, seq, command)))


def differences(markets: int) -> list[str]:
    """All that was found."""
    return [found for seed in range(markets) if (found := first_difference(seed)) is not None]


def test_the_fast_book_trades_like_the_obvious_one() -> None:
    """Prices, queues, expiries, bands, reduce-only and self-trades in four markets."""
    assert differences(SHORT) == []


@pytest.mark.chaos  # minutes of processor time
@pytest.mark.timeout(7200)
def test_the_fast_book_trades_like_the_obvious_one_for_a_million_commands() -> None:
    """The full size of the bar."""
    assert differences(FULL) == []
    print(f"{FULL * COMMANDS_PER_MARKET:,} commands over both books, no difference")  # noqa: T201 - what was measured


def append_in_front(level: PriceLevel, order: Order) -> None:
    """The newest first."""
    append(level, order)
    if level.first is not order:
        level.unlink(order)
        order.level, order.next = level, level.first
        level.first.prev = order  # type: ignore[union-attr]
        level.first = order
        level.lots += order.remaining


append = PriceLevel.append


def test_a_fault_in_the_queue_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison bites: a price at which the newest trades first."""
    monkeypatch.setattr(PriceLevel, "append", append_in_front)
    assert differences(1) != []
