"""P9: from an order on the socket to its own fill on the socket, through the whole tree.

Idle: an order each tenth of a second, so that what the one before has left to do (its projection, the cursor of the relay) is over;
and, not judged, the next as soon as the fill is there. Under load: open loop, the send times fixed in advance and the latency counted
from them. Orders are sent and fills received on the same connection. A maker's two walls are on both sides of 60,000.
"""

from collections.abc import Sequence
from typing import Any

from bench.exchange_process import ExchangeProcess
from bench.load.job import Kind, Report, run_in_process
from bench.load.live.job import LiveJob
from bench.load.order_bodies import takers, walls
from bench.load.users import FundedUser
from bench.result import Bar, Outcome, alone, percentile
from bench.sizes import Size
from bench.whole import address_of, drained, load_on, users_of

TAKERS = 64
IDLE_BAR = Bar(8, is_floor=False, unit="ms")
LOADED_BAR = Bar(30, is_floor=False, unit="ms")
IDLE_RATE = 10
JUDGED_RATE = 100
WARM_UP_RATES = 3  # a broker that has just started takes a third longer


async def measure(exchange: ExchangeProcess, size: Size) -> Outcome:
    """Idle, then at the judged rate; every client has traded before, and the processes are warm."""
    maker, *users = await users_of(exchange, 1 + min(TAKERS, size.users), "live")
    await load_on(exchange, [maker], orders=walls(), seconds=5, count=2, connections=1)
    await drained(exchange)
    await _fills(exchange, users, kind=Kind.OPEN, seconds=WARM_UP_RATES * size.rate_s, rate=JUDGED_RATE)
    seconds = size.idle_orders / IDLE_RATE
    idle = await _fills(exchange, users[:1], kind=Kind.OPEN, seconds=seconds, rate=IDLE_RATE)
    chain = await _fills(exchange, users[:1], kind=Kind.CLOSED, seconds=120, count=size.idle_orders)
    loaded = await _fills(exchange, users, kind=Kind.OPEN, seconds=size.rate_s, rate=JUDGED_RATE)
    what = "order to fill on the socket"
    rows = [
        alone("P9", f"{what}, idle: p50", "ms", [percentile(idle, 0.5)], IDLE_BAR),
        alone("P9", f"{what}, one right after the other: p50", "ms", [percentile(chain, 0.5)]),
        alone("P9", f"{what} at {JUDGED_RATE}/s: p99", "ms", [percentile(loaded, 0.99)], LOADED_BAR),
    ]
    spreads = {"idle": idle, "one right after the other": chain, f"at {JUDGED_RATE}/s": loaded}
    return Outcome(rows, notes=[f"P9: {'; '.join(_spread(*each) for each in spreads.items())}."])


async def _fills(exchange: ExchangeProcess, users: Sequence[FundedUser], **what: Any) -> list[float]:
    host, port = address_of(exchange)
    tokens = [funded.token for funded in users]
    job = LiveJob(host, port, tokens=tokens, orders=takers(), sees_fills=True, **what)
    report: Report = await run_in_process("bench.load.live.orders", job)
    assert set(report.statuses) == {"order 202", "fill 200"}, (report.statuses, report.codes)
    return report.latencies_ms["fill 200"]


def _spread(what: str, values: list[float]) -> str:
    shares = ", ".join(f"p{share:g} {percentile(values, share / 100):.1f} ms" for share in (10, 50, 90, 99))
    return f"{what} {shares}"
