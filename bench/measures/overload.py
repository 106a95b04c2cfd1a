"""Bars 17: offered several times what it can complete, the exchange completes as much as before and refuses the rest fast.

Five times the connections of the peak, each sending again at once; one request in ten cancels. Times are counted from
sending. Afterwards: how long until a barrier sent at the end of the load has gone through every log.
"""

import time

from bench.exchange_process import ExchangeProcess
from bench.load.job import Report
from bench.peak import CLIENTS, completed
from bench.result import Bar, Outcome, alone, compared, percentile
from bench.sizes import Size
from bench.watching import Sample, peak_bytes, watched
from bench.whole import drained, load_on, nothing_is_lost, users_of

TIMES = 5
CANCEL_EVERY = 10
GOODPUT = Bar(0.8)
REFUSED = Bar(100, is_floor=False, unit="ms")
BACK = Bar(5, is_floor=False, unit="s")


async def measure(exchange: ExchangeProcess, size: Size) -> Outcome:
    """The peak, then the overload, then the way back."""
    users = await users_of(exchange, size.users, "overload")
    await completed(exchange, users, size.peak_s / 3)  # warm
    peak = (await completed(exchange, users, size.peak_s)).per_s
    began = time.perf_counter()
    async with watched(exchange, every_s=1.0) as samples:
        report = await load_on(
            exchange,
            users,
            seconds=size.overload_s,
            connections=TIMES * CLIENTS,
            cancel_every=CANCEL_EVERY,
            keeps_orders=True,
        )
        ended = time.perf_counter()
        await drained(exchange)
    back_s = time.perf_counter() - ended
    goodput = report.accepted / (time.perf_counter() - began)
    await nothing_is_lost(exchange, users, report.orders)
    return _outcome(peak, goodput, back_s, report, samples)


def _outcome(peak: float, goodput: float, back_s: float, report: Report, samples: list[Sample]) -> Outcome:
    refused = _took(report, ("order 503", "order 429"))
    cancelled = _took(report, tuple(status for status in report.statuses if status.startswith("cancel")))
    accept_ms = _took(report, ("order 202",))
    rows = [
        compared("overload", "orders completed", "orders/s", [goodput], ("peak", [peak]), GOODPUT),
        alone("overload", "time to refuse: p99", "ms", [percentile(refused, 0.99)], REFUSED if refused else None),
        alone("overload", "time to answer a cancel: p99", "ms", [percentile(cancelled, 0.99)]),
        alone("overload", "time to accept an order: p99", "ms", [percentile(accept_ms, 0.99)]),
        alone("overload", "time until all is persisted afterwards", "s", [back_s], BACK),
    ]
    offered = sum(report.statuses.values()) / report.seconds
    memory = ", ".join(f"{name} {held / 2**20:.0f} MiB" for name, held in peak_bytes(samples).items())
    note = f"Overload: {offered:.0f} requests/s offered, answered {report.statuses}; most memory held: {memory}."
    return Outcome(rows, notes=[note])


def _took(report: Report, labels: tuple[str, ...]) -> list[float]:
    return [each for label in labels for each in report.latencies_ms.get(label, ())]
