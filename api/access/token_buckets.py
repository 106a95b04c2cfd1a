"""Per-user rate limits, counted exactly and in a third of a microsecond: an order has about 3 us to spare."""

import time
from collections.abc import Callable
from typing import TypeAlias

from api.access.budgets import Rate

_FORGET_ABOVE = 16_384


BudgetState: TypeAlias = tuple[bool, int, int]
"""The state of a budget for a caller: whether the call is within it, calls left, and seconds until the budget is whole or,
for a refused call, until the next one can succeed. A plain tuple: a named one costs as much as all the counting."""


class TokenBuckets:
    """One bucket per user: a burst of `calls`, refilled evenly over the window, in whole nanoseconds.

    A bucket is one number, the time at which it is full again; full buckets are not kept.
    """

    def __init__(self, rate: Rate, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._interval_ns = -(-rate.window_s * 1_000_000_000 // rate.calls)  # rounded up: never more than the rate
        self._whole_ns = self._interval_ns * rate.calls
        self._clock_ns = clock_ns
        self._full_at_ns: dict[int, int] = {}
        self._forget_above = _FORGET_ABOVE

    def take(self, user: int, calls: int = 1) -> BudgetState:
        """Count these calls, all or none: none when fewer are left in the bucket."""
        now, asked_ns = self._clock_ns(), self._interval_ns * calls
        full_at = self._full_at_ns.get(user, 0)
        full_at = (max(now, full_at)) + asked_ns
        missing = full_at - now
        if missing > self._whole_ns:
            left = (self._whole_ns - missing + asked_ns) // self._interval_ns
            return (False, left, -((self._whole_ns - missing) // 1_000_000_000))
        if user not in self._full_at_ns and len(self._full_at_ns) >= self._forget_above:
            self._forget_the_full(now)
        self._full_at_ns[user] = full_at
        return (True, (self._whole_ns - missing) // self._interval_ns, -(-missing // 1_000_000_000))

    def give_back(self, user: int, calls: int) -> None:
        """Undo the count of calls that were taken just now."""
        full_at = self._full_at_ns.get(user)
        if full_at is not None:
            self._full_at_ns[user] = full_at - self._interval_ns * calls

    def _forget_the_full(self, now: int) -> None:
        self._full_at_ns = {user: at for user, at in self._full_at_ns.items() if at > now}
        self._forget_above = max(_FORGET_ABOVE, 2 * len(self._full_at_ns))  # amortized over as many calls
