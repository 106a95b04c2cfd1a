"""P8: flat over ten minutes at 60 % of the peak on Kafka: the last ten seconds compared with the first ten.

Two loads at once: random orders at a fixed rate, each cancelled by the next request of its client where it still rests, and
twenty takers a second whose fills are awaited. Without the cancels the orders that never trade pile up until each account
holds maxOpenOrders of its market and is refused the rest, which measures the limit and not the exchange. Memory of every
process and the size of every table are looked at all the time and kept in the JSON.
"""

import asyncio

from bench.exchange_process import ExchangeProcess
from bench.load.job import Kind, Report, Seen
from bench.load.order_bodies import takers, walls
from bench.peak import completed
from bench.result import Bar, Outcome, Row, compared, percentile
from bench.sizes import Size
from bench.watching import Sample, watched
from bench.whole import drained, load_on, nothing_is_lost, users_of

SHARE_OF_PEAK = 0.6
PROBES_PER_S = 20
CANCEL_EVERY = 2
WINDOW_S = 10
LOOKS_A_MINUTE = 12
FLAT = Bar(0.9)
MIB = 2**20


async def measure(exchange: ExchangeProcess, size: Size) -> tuple[Outcome, list[Sample]]:
    """The peak, then the long load; the samples are for the JSON."""
    seconds = size.soak_s
    maker, *users = await users_of(exchange, 1 + size.users, "soak")
    await load_on(exchange, [maker], orders=walls(), seconds=5, count=2, connections=1)
    peak = (await completed(exchange, users, size.peak_s, cancel_every=CANCEL_EVERY)).per_s
    async with watched(exchange, every_s=min(WINDOW_S / 2, seconds / 4)) as samples:
        report, probes = await asyncio.gather(
            load_on(
                exchange,
                users,
                kind=Kind.OPEN,
                rate=max(1.0, SHARE_OF_PEAK * peak * CANCEL_EVERY - PROBES_PER_S),
                seconds=seconds,
                connections=128,
                cancel_every=CANCEL_EVERY,
                keeps_orders=True,
            ),
            load_on(
                exchange,
                users,
                kind=Kind.OPEN,
                rate=PROBES_PER_S,
                seconds=seconds,
                connections=32,
                orders=takers(),
                seen=Seen.FILL,
            ),
        )
    await drained(exchange)
    await nothing_is_lost(exchange, users, report.orders)
    return _outcome(peak, report, probes, samples), samples


def _outcome(peak: float, report: Report, probes: Report, samples: list[Sample]) -> Outcome:
    window = max(1, min(WINDOW_S, int(report.seconds) // 3))
    whole = report.per_second[: int(report.seconds)] or [report.accepted]
    first, last = sum(whole[:window]) / window, sum(whole[-window:]) / window
    fills = probes.latencies_ms.get("fill 200", [])
    some = max(1, window * PROBES_PER_S)
    early, late = (percentile(each, 0.5) for each in (fills[:some], fills[-some:]))
    rows = [
        compared("P8", f"accepted in the last {window} s", "orders/s", [last], (f"first {window} s", [first]), FLAT),
        compared(
            "P8", f"fill visible in the last {window} s: p50", "ms", [late], (f"first {window} s", [max(early, 1e-3)])
        ),
        *_persisted(samples),
        *_held(samples),
    ]
    answered = f"answered {report.statuses}, refused for {report.codes or 'nothing'}"
    accepted_per_s = report.accepted / report.seconds
    return Outcome(
        rows,
        notes=[f"P8: peak {peak:.0f} orders/s, {accepted_per_s:.0f} accepted over {report.seconds:.0f} s; {answered}."],
    )


def _persisted(samples: list[Sample]) -> list[Row]:
    """Commands persisted a second in the last whole minute of looks, or a third of all, compared with the first.

    The look that reaches beyond the load's end does not count.
    """
    looks = min(LOOKS_A_MINUTE, (len(samples) - 2) // 3)
    if looks < 1:
        return []
    first, last = _rate(samples[0], samples[looks]), _rate(samples[-3 - looks], samples[-3])
    baseline = (f"first {samples[looks].at_s:.0f} s", [max(first, 1e-3)])
    return [compared("P8", "commands persisted at the end", "commands/s", [last], baseline, FLAT)]


def _held(samples: list[Sample]) -> list[Row]:
    """Memory of every process and size of the outbox at the end, compared with their state after a tenth of the time."""
    if len(samples) < 4:
        return []
    early, late = samples[max(1, len(samples) // 10)], samples[-1]
    baseline = f"after {early.at_s:.0f} s"
    processes = [
        compared(
            "P8", f"memory of {name}", "MiB", [late.resident[name] / MIB], (baseline, [early.resident[name] / MIB])
        )
        for name in sorted(late.resident)
        if early.resident.get(name)
    ]
    outbox = [sample.tables.get("outbox", 0) / MIB for sample in (early, late)]
    return [*processes, compared("P8", "table outbox", "MiB", [outbox[1]], (baseline, [max(outbox[0], 1e-3)]))]


def _rate(before: Sample, after: Sample) -> float:
    return (after.persisted - before.persisted) / max(1e-3, after.at_s - before.at_s)
