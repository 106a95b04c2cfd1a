"""P3: from an order to its own fill in GET /fills, through the whole tree.

Idle: one order after the other. Under load: open loop, the send times fixed in advance and the latency counted from
them, so that a stall counts for every order it delays. A client looks for its fill again a millisecond after an
answer without it, later after a tenth of the time it has waited; at the judged rate, one also that asks every 3 ms, which
loads the API most. A maker's two walls are on both sides of 60,000.
"""

from typing import Any

from bench.exchange_process import ExchangeProcess
from bench.load.job import Job, Kind, Report, Seen, run_load
from bench.load.order_bodies import takers, walls
from bench.load.users import FundedUser
from bench.result import Bar, LoadPoint, Outcome, Row, Spread, alone, percentile
from bench.sizes import Size
from bench.whole import drained, job_for, users_of

TAKERS = 64
CONNECTIONS = 128
IDLE_BAR = Bar(20, is_floor=False, unit="ms")
LOADED_BAR = Bar(50, is_floor=False, unit="ms")
POLLED_BAR = Bar(60, is_floor=False, unit="ms")
JUDGED_RATE = 100
WARM_UP = 20


async def measure(exchange: ExchangeProcess, size: Size) -> Outcome:
    """Idle, then every rate in turn."""
    maker, *users = await users_of(exchange, 1 + min(TAKERS, size.users), "latency")
    await run_load(_job(exchange, [maker], orders=walls(), seconds=5, count=2))
    await drained(exchange)
    idle = [await _idle(exchange, users, size, seen) for seen in (Seen.FILL, Seen.FILL_AFTER_WAIT)]
    points = [await _point(exchange, users, rate, size.rate_s) for rate in size.rates]
    polled = await _point(exchange, users, JUDGED_RATE, size.rate_s, Seen.FILL_POLLED)
    rows = [
        _row("idle", idle[0], IDLE_BAR),
        _row("idle, by X-Wait-For-Command", idle[1], None),
        *(_loaded_row(point) for point in points),
        alone("P3", f"order to fill at {JUDGED_RATE}/s, asked every 3 ms: p99", "ms", [polled.p99_ms], POLLED_BAR),
    ]
    return Outcome(rows, points)


async def _idle(exchange: ExchangeProcess, users: list[FundedUser], size: Size, seen: Seen) -> list[float]:
    warm = _job(exchange, users, orders=takers(), seconds=60, count=min(WARM_UP, size.idle_orders), seen=seen)
    await run_load(warm)
    report = await run_load(_job(exchange, users, orders=takers(), seconds=120, count=size.idle_orders, seen=seen))
    assert set(report.statuses) == {"order 202", "fill 200"}, report.statuses
    return _fills(report)


async def _point(
    exchange: ExchangeProcess, users: list[FundedUser], rate: int, seconds: float, seen: Seen = Seen.FILL
) -> LoadPoint:
    load = {"kind": Kind.OPEN, "rate": rate, "seen": seen, "connections": min(CONNECTIONS, 2 * rate)}
    report = await run_load(_job(exchange, users, orders=takers(), seconds=seconds, **load))
    fills, orders = _fills(report), sum(n for status, n in report.statuses.items() if status.startswith("order"))
    p50, p90, p99 = (percentile(fills, share) for share in (0.5, 0.9, 0.99))
    return LoadPoint(
        rate, len(fills) / report.seconds, p50, p90, p99, percentile(report.late_ms, 0.99), orders - len(fills)
    )


def _job(exchange: ExchangeProcess, users: list[FundedUser], **what: Any) -> Job:
    return job_for(exchange, users, **({"connections": 1} | what))


def _fills(report: Report) -> list[float]:
    return report.latencies_ms.get("fill 200", [])


def _row(what: str, fills: list[float], bar: Bar | None) -> Row:
    row = alone("P3", f"order to fill, {what}: p50", "ms", [percentile(fills, 0.5)], bar)
    return Row(
        row.measure, row.what, row.unit, Spread(min(fills), row.ours.median, max(fills)), bar=row.bar, is_met=row.is_met
    )


def _loaded_row(point: LoadPoint) -> Row:
    bar = LOADED_BAR if point.offered_per_s == JUDGED_RATE else None
    return alone("P3", f"order to fill at {point.offered_per_s:g}/s: p99", "ms", [point.p99_ms], bar)
