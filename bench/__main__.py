"""`make bench`: how many orders a second are accepted and completed, beside a bare server in the same run."""

import asyncio
import json
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.local.kafka import is_available as kafka_is_available
from bench.exchange_process import ROOT, ExchangeProcess
from bench.load import Trader, make_traders, send_orders

ROUNDS = 3
CLIENTS = 32
ORDERS = 4_000


async def main() -> None:
    """Interleave rounds of both, and print rates and their ratio as JSON."""
    broker = "kafka" if kafka_is_available() else "embedded"
    with tempfile.TemporaryDirectory() as folder:
        exchange = ExchangeProcess(Path(folder) / "data", broker)
        await exchange.start()
        try:
            async with _bare_server() as bare:
                print(json.dumps(await _measure(exchange, bare, broker), indent=2))
        finally:
            await exchange.stop()


async def _measure(exchange: ExchangeProcess, bare: str, broker: str) -> dict[str, object]:
    traders = await make_traders(exchange.url, CLIENTS)
    rounds = [await _round(exchange, bare, traders) for _ in range(ROUNDS)]
    rates = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}, broker {broker}, {CLIENTS} clients",
        **{f"{name} per second (min, median, max)": _spread(values) for name, values in rates.items()},
        "accepted / bare 202": round(
            statistics.median(a / b for a, b in zip(rates["accepted"], rates["bare 202"], strict=True)), 3
        ),
        "completed / accepted": round(
            statistics.median(c / a for c, a in zip(rates["completed"], rates["accepted"], strict=True)), 3
        ),
    }


async def _round(exchange: ExchangeProcess, bare: str, traders: list[Trader]) -> dict[str, float]:
    yardstick = await send_orders(bare, traders, ORDERS)
    began = time.perf_counter()
    accepted = await send_orders(exchange.url, traders, ORDERS)
    code, printed = await exchange.command("drain")
    assert code == 0, printed
    completed_s = time.perf_counter() - began
    assert accepted.statuses == {202: ORDERS}, accepted.statuses
    return {
        "bare 202": ORDERS / yardstick.seconds,
        "accepted": ORDERS / accepted.seconds,
        "completed": ORDERS / completed_s,
    }


def _spread(values: list[float]) -> list[int]:
    return [round(min(values)), round(statistics.median(values)), round(max(values))]


@asynccontextmanager
async def _bare_server() -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare", str(port), cwd=ROOT)
    try:
        await _until_it_listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        await server.wait()


async def _until_it_listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


if __name__ == "__main__":
    asyncio.run(main())
