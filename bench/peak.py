"""The most orders a second that the whole tree completes: a short closed loop, and the drain after it."""

import time
from typing import Any, NamedTuple

from bench.exchange_process import ExchangeProcess
from bench.load.users import FundedUser
from bench.watching import costs_of, cpu_seconds
from bench.whole import drained, load_on

CLIENTS = 32


class Completed(NamedTuple):
    """Accepted orders over the time until the last of them, and of the cancels between them, is persisted; what one costs."""

    per_s: float
    costs: str


async def completed(exchange: ExchangeProcess, users: list[FundedUser], seconds: float, **what: Any) -> Completed:
    """Let a closed loop run, `what` being fields of its Job."""
    spent_before, began = cpu_seconds(exchange), time.perf_counter()
    report = await load_on(exchange, users, seconds=seconds, connections=CLIENTS, **what)
    await drained(exchange)
    per_s = report.accepted / (time.perf_counter() - began)
    return Completed(per_s, costs_of(exchange, spent_before, report.accepted))
