"""Per-address rate limits: calls in a fixed window, on the clock that nobody sets."""

import time
from collections.abc import Callable
from typing import NamedTuple

from api.access.budgets import Rate
from api.access.token_buckets import BudgetState

_FORGET_ABOVE = 16_384


class _Window(NamedTuple):
    ends_at_ns: int
    calls: int


class FixedWindows:
    """One window per key, from its first call on; ended windows are not kept."""

    def __init__(self, rate: Rate, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._calls = rate.calls
        self._length_ns = rate.window_s * 1_000_000_000
        self._clock_ns = clock_ns
        self._windows: dict[str, _Window] = {}
        self._forget_above = _FORGET_ABOVE

    def take(self, key: str) -> BudgetState:
        """Count one call; one beyond the budget is refused, and counts no more."""
        now = self._clock_ns()
        window = self._window(key, now)
        if window.calls >= self._calls:
            return self._state(window, now, is_within=False)
        if key not in self._windows and len(self._windows) >= self._forget_above:
            self._forget_the_ended(now)
        window = self._windows[key] = _Window(window.ends_at_ns, window.calls + 1)
        return self._state(window, now, is_within=True)

    def check(self, key: str) -> BudgetState:
        """The state before another call; nothing is counted."""
        now = self._clock_ns()
        window = self._window(key, now)
        return self._state(window, now, is_within=window.calls < self._calls)

    def _window(self, key: str, now: int) -> _Window:
        window = self._windows.get(key)
        return window if window is not None and window.ends_at_ns > now else _Window(now + self._length_ns, 0)

    def _state(self, window: _Window, now: int, *, is_within: bool) -> BudgetState:
        return (is_within, self._calls - window.calls, -(-(window.ends_at_ns - now) // 1_000_000_000))

    def _forget_the_ended(self, now: int) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window.ends_at_ns > now}
        self._forget_above = max(_FORGET_ABOVE, 2 * len(self._windows))
