"""The window of each address: counted exactly from its first call, and forgotten when it has ended."""

import pytest

from api.access import fixed_windows
from api.access.budgets import Rate
from api.access.fixed_windows import FixedWindows
from tests.api.stepped_clock import SECOND, SteppedClock


def test_a_window_begins_with_the_first_call_and_ends_for_all() -> None:
    """Two calls in six seconds: two, then none until six seconds after the first; other addresses have their own."""
    clock = SteppedClock()
    windows = FixedWindows(Rate(2, 6), clock)
    assert windows.check("a") == (True, 2, 6)
    assert windows.take("a") == (True, 1, 6)
    clock.now += 2 * SECOND
    assert [windows.take("a"), windows.take("a"), windows.check("a")] == [(True, 0, 4), (False, 0, 4), (False, 0, 4)]
    assert windows.take("b") == (True, 1, 6)
    clock.now += 4 * SECOND - 1
    assert windows.take("a") == (False, 0, 1)
    clock.now += 1
    assert windows.take("a") == (True, 1, 6)


def test_ended_windows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses have called: only those within their window are kept."""
    monkeypatch.setattr(fixed_windows, "_FORGET_ABOVE", 10)
    clock = SteppedClock()
    windows = FixedWindows(Rate(2, 1), clock)
    for address in range(100):
        windows.take(f"{address}")
        clock.now += SECOND // 2
    assert len(windows._windows) <= 20
