"""The index of several price sources, and what a market does without it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.engine.log.snapshot_format import dump
from exchange.engine.prices.index import WeighedPrice, weighted_median
from schemas.commands import ReportPrice, ReportPrices
from schemas.events import ClockAdvanced, MarkMoved, OrderEnded, PriceIgnored, StatusChanged
from schemas.market import RULES_FIRST, RULES_SECOND, RULES_THIRD, MarketStatus
from schemas.orders import EndReason
from schemas.units import Nanos, Timestamp
from tests.exchange.builders import ANN, BOB, Driver, buy, index, listed, price, sell, sources, status, tick, together
from tests.exchange.invariants import check_all

SECOND = 1_000_000


def fed(*prices: tuple[str, int], quorum: int = 2) -> Driver:
    """A market of the sources x, y, z that have reported these prices at one second past zero."""
    driver = Driver()
    driver.send(sources("x", "y", "z", quorum=quorum))
    for source, usdc in prices:
        driver.send(price(source, usdc, SECOND))
    return driver


@pytest.mark.parametrize(
    ("prices", "median"),
    [
        ([(100, 1)], 100),
        ([(100, 1), (102, 1)], 101),
        ([(100, 1), (103, 1)], 102),  # 101.5: half to the even neighbour
        ([(100, 1), (102, 1), (900, 1)], 102),
        ([(100, 3), (102, 1), (104, 1)], 100),
        ([(100, 1), (102, 1), (104, 2)], 103),  # half of the weight is reached exactly at 102
    ],
)
def test_the_index_is_the_weighted_median(prices: list[tuple[int, int]], median: int) -> None:
    """The price at which half of the weight is reached, in any order of the sources."""
    weighed = [WeighedPrice(Nanos(nanos), weight) for nanos, weight in prices]
    assert weighted_median(weighed) == weighted_median(weighed[::-1]) == median


def test_one_wild_source_moves_the_index_to_no_price_that_nobody_else_saw() -> None:
    """A venue that breaks is outvoted."""
    driver = fed(("x", 100), ("y", 101), ("z", 5_000))
    assert driver.market.index == 101 * 10**9


def test_below_the_quorum_the_market_accepts_cancels_only_and_recovers_automatically() -> None:
    """One fresh source of three is not enough; with the second the mark moves again and the market is open."""
    driver = fed(("x", 102))
    assert driver.market.status is MarketStatus.CANCEL_ONLY
    assert driver.market.mark == 100
    (refused,) = driver.send(buy(ANN, 1, 100, at=SECOND))
    assert isinstance(refused, OrderEnded)
    assert refused.reason is EndReason.MARKET_STATUS
    opened, moved = driver.send(price("y", 102, SECOND))
    assert opened == StatusChanged(
        opened.seq, opened.command, SECOND, MarketStatus.ACTIVE, MarketStatus.ACTIVE, is_frozen=False
    )
    assert isinstance(moved, MarkMoved)
    assert moved.mark == 102
    check_all(driver)


def test_sources_that_fall_silent_freeze_the_mark_when_the_clock_says_so() -> None:
    """Ten seconds are their maximum age: at ten the market is open, a microsecond later it is not."""
    driver = fed(("x", 100), ("y", 100))
    assert driver.send(tick(11 * SECOND)) == [ClockAdvanced(driver.market.event_seq, 6 - 1, 11 * SECOND)]
    frozen, _ = driver.send(tick(11 * SECOND + 1))
    assert isinstance(frozen, StatusChanged)
    assert (frozen.status, frozen.is_frozen) == (MarketStatus.CANCEL_ONLY, True)


def test_the_quorum_does_not_open_what_the_operator_closed() -> None:
    """The active status is the more restrictive of the two."""
    driver = fed(("x", 100))
    driver.send(status(MarketStatus.HALTED))
    driver.send(price("y", 100, SECOND))
    assert driver.market.status is MarketStatus.HALTED
    driver.send(status(MarketStatus.ACTIVE))
    assert driver.market.status is MarketStatus.ACTIVE


def test_an_older_price_and_one_from_nobody_are_ignored() -> None:
    """Reports may come late, doubled or from a source that was removed; the newest stays."""
    driver = fed(("x", 100), ("y", 102))
    for late in (price("x", 90, 2 * SECOND, observed_at=SECOND), price("w", 90, 2 * SECOND), price("x", 0, 3 * SECOND)):
        (ignored,) = driver.send(late)
        assert isinstance(ignored, PriceIgnored)
    assert driver.market.index == 101 * 10**9


def test_a_price_from_the_future_is_as_old_as_its_report() -> None:
    """A source whose clock runs ahead does not stay fresh for longer."""
    driver = fed(("x", 100), ("y", 100))
    driver.send(price("x", 100, 2 * SECOND, observed_at=900 * SECOND))
    assert [feed.observed_at for feed in driver.market.feeds if feed.source.name == "x"] == [2 * SECOND]


def test_a_market_with_sources_accepts_no_index_by_hand() -> None:
    """The index is what the sources say."""
    (ignored,) = fed(("x", 100), ("y", 100)).send(index(90))
    assert isinstance(ignored, PriceIgnored)


def test_a_market_whose_sources_are_removed_keeps_its_index_and_opens() -> None:
    """Without sources the index is constant."""
    driver = fed(("x", 103))
    driver.send(sources(quorum=0, at=SECOND))
    assert (driver.market.status, driver.market.is_frozen) == (MarketStatus.ACTIVE, False)
    check_all(driver)


def test_an_index_that_moves_without_the_mark_is_reported_too() -> None:
    """100.2, 100.3 and 100.4; the last one grows old: the index goes to 100.25, the mark stays at 100."""
    driver = Driver()
    driver.send(sources("x", "y", "z", quorum=2))
    for source, tenths, at in (("z", 1_004, SECOND), ("x", 1_002, 9 * SECOND), ("y", 1_003, 9 * SECOND)):
        driver.send(ReportPrice(Timestamp(at), source, Nanos(tenths * 10**8), Timestamp(at)))
    moved, _ = driver.send(tick(12 * SECOND))
    assert isinstance(moved, MarkMoved)
    assert (moved.index, moved.mark) == (100_250_000_000, 100)
    assert driver.market.index == moved.index


def test_other_sources_move_the_index_and_the_mark_at_once() -> None:
    """The index they give with the known prices is reported with the change itself."""
    driver = fed(("x", 100), ("y", 102))
    assert driver.market.mark == 101
    *_, moved = driver.send(sources("y", quorum=1, at=SECOND))
    assert isinstance(moved, MarkMoved)
    assert (moved.index, moved.mark) == (102 * 10**9, 102)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from((RULES_FIRST, RULES_SECOND, RULES_THIRD)),
    st.lists(
        st.lists(st.tuples(st.sampled_from("wxyz"), st.integers(0, 120), st.integers(-2, 9)), min_size=1, max_size=5),
        min_size=1,
        max_size=4,
    ),
)
def test_prices_together_are_the_same_as_one_after_the_other(
    rules: int, rounds: list[list[tuple[str, int, int]]]
) -> None:
    """Of known and unknown sources, some twice, too old, of the future or no price: the same events, the same market."""
    single, both = (Driver(replace(listed(), rules=rules)) for _ in range(2))
    for driver in (single, both):
        driver.send(sources("x", "y", "z", quorum=2), buy(ANN, 60, 98), sell(BOB, 60, 102))
    for number, seen in enumerate(rounds, 1):
        at = number * 6 * SECOND
        reports = [price(source, usdc, at, at - age * SECOND) for source, usdc, age in seen]
        before = len(single.events)
        for report in reports:
            single.send(report)
        events = both.send(together(*reports))
        both.log += reports[1:]  # so that later commands have the same numbers
        both.market.command_seq = len(both.log)
        first = events[0].command
        assert [replace(event, command=first) for event in single.events[before:]] == events
        assert dump(single.market) == dump(both.market)


def test_a_report_without_a_price_is_answered_too() -> None:
    """Every command has an event."""
    driver = fed(("x", 100), ("y", 100))
    assert driver.send(ReportPrices(Timestamp(2 * SECOND), ())) == [
        ClockAdvanced(driver.market.event_seq, 5, 2 * SECOND)
    ]
