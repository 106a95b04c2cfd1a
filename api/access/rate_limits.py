"""Rate limits: each call is counted in one budget, by user or by address, in the memory of this process.

Each API process counts on its own: N of them let up to N times the rate through. For one count over all of them, limit
at the proxy in front.

Every counted answer reports what is left of the budget, in the fields of draft-ietf-httpapi-ratelimit-headers-10:
`RateLimit-Policy: "orders";q=100;w=1` and `RateLimit: "orders";r=99;t=1`.
"""

from collections.abc import Mapping

from aiohttp import web

from api.access.budgets import OF_USERS, Budget, Rate
from api.access.fixed_windows import FixedWindows
from api.access.token_buckets import BudgetState, TokenBuckets
from api.errors import Refusal
from schemas.refusals import ErrorCode

LIMIT_FIELD = "RateLimit"
POLICY_FIELD = "RateLimit-Policy"
_MESSAGES = {
    Budget.LOGIN_ATTEMPTS: "too many logins with this e-mail address; wait before you try again",
    Budget.UNAUTHENTICATED: "too many calls without a valid token; wait before you try again",
}
TOLD = web.RequestKey("told", tuple)
"""The values of the two rate-limit fields of the answer to this request."""


class RateLimited(Refusal):
    """A budget is used up; the next call can succeed after `retry_after_s`."""

    def __init__(self, budget: Budget, retry_after_s: int) -> None:
        message = _MESSAGES.get(budget, f"too many calls ({budget}); wait before the next one")
        super().__init__(ErrorCode.RATE_LIMITED, message, {"limit": budget, "retryAfterSeconds": retry_after_s})
        self.retry_after_s = retry_after_s


class BatchTooLarge(Refusal):
    """A batch has more calls than its budget ever holds: it can never be accepted."""

    def __init__(self, budget: Budget, rate: Rate, calls: int) -> None:
        window = "second" if rate.window_s == 1 else f"{rate.window_s} seconds"
        message = f"a batch of {calls} never fits the limit of {rate.calls} {budget} a {window}: send fewer at once"
        details = {"limit": budget, "calls": rate.calls, "windowSeconds": rate.window_s, "got": calls}
        super().__init__(ErrorCode.INVALID_REQUEST, message, details)


class RateLimits:
    """The budgets that have a rate; a budget without one is unlimited."""

    def __init__(self, rates: Mapping[Budget, Rate] | None = None) -> None:
        given = self._rates = dict(rates or {})
        self._buckets = {budget: TokenBuckets(given[budget]) for budget in given if budget in OF_USERS}
        self._windows = {budget: FixedWindows(given[budget]) for budget in given if budget not in OF_USERS}
        self._policies = {budget: f'"{budget}";q={rate.calls};w={rate.window_s}' for budget, rate in given.items()}

    def take_of_user(self, request: web.Request, budget: Budget, user: int) -> None:
        """Count a user's call; refuses with RATE_LIMITED."""
        bucket = self._buckets.get(budget)
        if bucket is not None:
            self._record(request, budget, bucket.take(user))

    def take_of_batch(self, request: web.Request, budget: Budget, user: int, calls: int) -> None:
        """Count the calls of a batch, all or none; the guard has already counted the first.

        Refuses with INVALID_REQUEST a batch that no full budget covers, with RATE_LIMITED one that the budget does not
        cover now. A refused batch costs one call of the budget REQUESTS instead.
        """
        bucket, rate = self._buckets.get(budget), self._rates.get(budget)
        if bucket is None or rate is None:
            return
        bucket.give_back(user, 1)
        if calls > rate.calls:
            self.take_of_user(request, Budget.REQUESTS, user)
            raise BatchTooLarge(budget, rate, calls)
        state = bucket.take(user, calls)
        if not state[0]:
            self.take_of_user(request, Budget.REQUESTS, user)
        self._record(request, budget, state)

    def take_up_to(self, request: web.Request, budget: Budget, user: int, calls: int) -> None:
        """Count so many calls, at least the one that the guard has counted and at most a full budget; refuses with RATE_LIMITED."""
        rate = self._rates.get(budget)
        if rate is not None:
            self.take_of_batch(request, budget, user, max(1, min(calls, rate.calls)))

    def take_plainly(self, budget: Budget, user: int) -> str | None:
        """Count a user's call; the header lines that report it, or None when the budget is used up."""
        bucket = self._buckets.get(budget)
        if bucket is None:
            return ""
        state = bucket.take(user)
        is_within, _, _ = state
        policy, limit = self._fields(budget, state)
        return f"{POLICY_FIELD}: {policy}\r\n{LIMIT_FIELD}: {limit}\r\n" if is_within else None

    def take(self, request: web.Request, budget: Budget, name: str) -> None:
        """Count a call under the key of an address; refuses with RATE_LIMITED."""
        windows = self._windows.get(budget)
        if windows is not None:
            self._record(request, budget, windows.take(name))

    def check(self, request: web.Request, budget: Budget, name: str) -> None:
        """Refuse with RATE_LIMITED when the budget is already used up; nothing is counted."""
        windows = self._windows.get(budget)
        if windows is not None and not (state := windows.check(name))[0]:
            self._record(request, budget, state)

    def _record(self, request: web.Request, budget: Budget, state: BudgetState) -> None:
        is_within, _, seconds = state
        request[TOLD] = self._fields(budget, state)
        if not is_within:
            raise RateLimited(budget, seconds)

    def _fields(self, budget: Budget, state: BudgetState) -> tuple[str, str]:
        """The values of both fields: the policy, and what is left of the budget."""
        _, remaining, seconds = state
        return self._policies[budget], f'"{budget}";r={remaining};t={seconds}'
