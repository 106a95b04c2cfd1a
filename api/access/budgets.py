"""Rate-limit budgets: what is counted together, and the rate of each."""

import re
from enum import StrEnum
from typing import NamedTuple


class Budget(StrEnum):
    """What is counted together. The first three are per user, the others per address."""

    ORDERS = "orders"
    CANCELS = "cancels"
    REQUESTS = "requests"
    PUBLIC = "public"
    PROBES = "probes"
    PAGES = "pages"
    REGISTRATIONS = "registrations"
    LOGINS = "logins"
    LOGIN_ATTEMPTS = "login-attempts"
    """Per e-mail address, registered or not."""
    UNAUTHENTICATED = "strangers"
    """Calls whose token or key is refused."""


OF_USERS = (Budget.ORDERS, Budget.CANCELS, Budget.REQUESTS)


class Rate(NamedTuple):
    """A number of calls in a window of seconds."""

    calls: int
    window_s: int


OFF = "off"
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(?:([1-9][0-9]{0,3}) )?(second|minute|hour|day)s?")


def parse_rate(text: str) -> Rate | None:
    """Read `100/second`, `10/5 minutes` or `off` (None); raises ValueError for anything else."""
    if text == OFF:
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is neither `off` nor a rate like `100/second` or `10/5 minutes`")
    calls, windows, unit = match.groups()
    return Rate(int(calls), int(windows or 1) * _SECONDS[unit])
