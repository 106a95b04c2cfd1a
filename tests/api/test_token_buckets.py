"""The bucket of each user: exact, refilled evenly, and forgotten when it is full."""

from hypothesis import given
from hypothesis import strategies as st

from api.access import token_buckets
from api.access.budgets import Rate
from api.access.token_buckets import TokenBuckets
from tests.api.stepped_clock import SECOND, SteppedClock


def test_a_bucket_holds_its_calls_and_gives_one_back_at_a_time() -> None:
    """Three calls in six seconds: three at once, then one each two seconds, and the wait is given."""
    clock = SteppedClock()
    buckets = TokenBuckets(Rate(3, 6), clock)
    assert [buckets.take(1) for _ in range(4)] == [
        (True, 2, 2),
        (True, 1, 4),
        (True, 0, 6),
        (False, 0, 2),
    ]
    clock.now += 2 * SECOND - 1
    assert buckets.take(1) == (False, 0, 1)
    clock.now += 1
    assert buckets.take(1) == (True, 0, 6)
    assert buckets.take(2) == (True, 2, 2)


def test_what_is_refused_costs_nothing() -> None:
    """A client that keeps calling is let in as soon as one that waits."""
    clock = SteppedClock()
    buckets = TokenBuckets(Rate(1, 1), clock)
    assert buckets.take(1)[0]
    assert not any(buckets.take(1)[0] for _ in range(100))
    clock.now += SECOND
    assert buckets.take(1)[0]


@given(st.integers(1, 50), st.integers(1, 20), st.lists(st.integers(0, 3 * SECOND), max_size=200))
def test_no_window_lets_more_through_than_twice_its_rate(calls: int, window_s: int, gaps: list[int]) -> None:
    """A full bucket and its refill: never more than `calls` at once, nor than 2 x `calls` in any window."""
    clock, passed = SteppedClock(), list[int]()
    buckets = TokenBuckets(Rate(calls, window_s), clock)
    for gap in gaps:
        clock.now += gap
        if buckets.take(1)[0]:
            passed.append(clock.now)
    for position, at in enumerate(passed):
        within = [other for other in passed[position:] if other < at + window_s * SECOND]
        assert len(within) <= 2 * calls
        assert passed[position:].count(at) <= calls


def test_buckets_that_are_full_are_forgotten() -> None:
    """Memory is bounded by the users of the last window, not by all there ever were."""
    clock = SteppedClock()
    buckets = TokenBuckets(Rate(2, 1), clock)
    for user in range(3 * token_buckets._FORGET_ABOVE):
        buckets.take(user)
        clock.now += SECOND
    assert len(buckets._full_at_ns) <= token_buckets._FORGET_ABOVE
