"""P2: orders completed by the whole tree: accepted, matched, every fill persisted and readable, nothing lost.

The clock runs from the first order until a barrier sent after the last one has gone through every log into the tables.
"""

import time

from bench.exchange_process import ExchangeProcess
from bench.result import Bar, Outcome, alone, compared
from bench.sizes import Size
from bench.watching import costs_of, cpu_seconds
from bench.whole import drained, fills_stored, load_on, nothing_is_lost, users_of

CLIENTS = 32
BAR = Bar(0.4)


async def measure(exchange: ExchangeProcess, size: Size, acceptance_per_s: float | None) -> Outcome:
    """One long load; `acceptance_per_s` is P1 of the same run with as many clients, None when it was not measured."""
    users = await users_of(exchange, size.users, "completion")
    fills_before, spent_before = await fills_stored(exchange), cpu_seconds(exchange)
    began = time.perf_counter()
    report = await load_on(exchange, users, seconds=size.completion_s, connections=CLIENTS, keeps_orders=True)
    await drained(exchange)
    seconds = time.perf_counter() - began
    costs = costs_of(exchange, spent_before, report.accepted)
    await nothing_is_lost(exchange, users, report.orders)
    rate = report.accepted / seconds
    refused = {status: count for status, count in report.statuses.items() if status != "order 202"}
    fills = await fills_stored(exchange) - fills_before
    what = f"orders completed in {size.completion_s:g} s"
    row = (
        alone("P2", what, "orders/s", [rate])
        if acceptance_per_s is None
        else compared("P2", what, "orders/s", [rate], ("P1 with 32 clients", [acceptance_per_s]), BAR)
    )
    note = (
        f"P2: {report.accepted} orders accepted in {report.seconds:.1f} s, {fills} fills, all persisted after "
        f"{seconds:.1f} s; refused in that time: {refused or 'none'}; none lost, none PENDING, audit clean."
    )
    return Outcome([row], notes=[note, f"P2: {costs}"])
