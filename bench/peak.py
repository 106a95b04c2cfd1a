"""The most orders a second that the whole tree completes: a short closed loop, and the drain behind it."""

import time

from bench.exchange_process import ExchangeProcess
from bench.people import Person
from bench.whole import drained, load_on

CLIENTS = 32


async def completed_per_s(
    exchange: ExchangeProcess, people: list[Person], seconds: float, cancel_every: int = 0
) -> float:
    """Accepted orders over the time until the last of them, and of the cancels between them, is persisted."""
    began = time.perf_counter()
    report = await load_on(exchange, people, seconds=seconds, connections=CLIENTS, cancel_every=cancel_every)
    await drained(exchange)
    return report.accepted / (time.perf_counter() - began)
