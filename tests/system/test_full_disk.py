"""A volume of its own that is really full: of PostgreSQL, or of the broker. It needs the right to mount, and is skipped without."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_trader
from tests.eventually import eventually
from tests.system.conftest import FULL, Start
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, until_accepted

pytestmark = FULL
VOLUME_MB = 512
REFUSED_WITHIN_S = 180.0
BACK_WITHIN_S = 120.0
FULL_FOR_S = 20.0
BID = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "59000"}


@contextmanager
def own_volume(folder: Path) -> Iterator[None]:
    """Move a folder of a stopped exchange to a small volume that is mounted in its place."""
    before = folder.with_name(f"{folder.name}.before")
    folder.rename(before)
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this machine does not let the test mount a volume: {mounted.stderr.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{before}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def no_space_left(folder: Path) -> Iterator[None]:
    """Fill the volume of a folder to its last block, for as long as the block lasts."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(2**20)):
            pass
    try:
        yield
    finally:
        filler.unlink()


@asynccontextmanager
async def exchange_on_own_volume(start: Start, part: str) -> AsyncIterator[ExchangeProcess]:
    """An exchange whose part has its data on a volume of its own."""
    exchange = await start()
    await exchange.stop()
    with own_volume(exchange.data / part):
        await exchange.start()
        yield exchange
        await exchange.stop()


async def test_a_full_volume_of_the_database_is_answered_and_heals(start_exchange: Start) -> None:
    """Orders get 503, /readyz too, the log names the reason seldom; with space again everything goes on by itself."""
    async with exchange_on_own_volume(start_exchange, "postgres") as exchange:
        async with trading(exchange.url) as load, aiohttp.ClientSession(exchange.url) as session:
            await until_accepted(load, 20)
            with no_space_left(exchange.data / "postgres"):
                await eventually(lambda: load.replies[503, "UNAVAILABLE"] > 20, REFUSED_WITHIN_S)
                await eventually(lambda: _is_ready(session, wanted=False), REFUSED_WITHIN_S)
                await asyncio.sleep(FULL_FOR_S)
            await until_accepted(load, 20)
            await eventually(lambda: _is_ready(session, wanted=True), BACK_WITHIN_S)
        reasons = [line for line in _log(exchange, "log/api.log") if "the database is unavailable" in line]
        assert 1 <= len(reasons) < load.replies[503, "UNAVAILABLE"] / 2
        assert any("No space left on device" in line for line in _log(exchange, "postgres.log"))
        await nothing_is_lost_or_doubled(exchange, load)


async def test_a_full_volume_of_the_broker_delays_orders_and_loses_none(start_exchange: Start) -> None:
    """Orders are accepted, then refused as OVERLOADED, cancels always accepted; with space again the broker comes back by itself."""
    async with exchange_on_own_volume(start_exchange, "kafka") as exchange:
        async with trading(exchange.url) as load, aiohttp.ClientSession(exchange.url) as session:
            trader = await make_trader(session, "10000")
            resting = await _rest(session, trader)
            await until_accepted(load, 20)
            with no_space_left(exchange.data / "kafka"):
                await eventually(lambda: load.replies[503, "OVERLOADED"], REFUSED_WITHIN_S)
                await eventually(lambda: _is_ready(session, wanted=False), REFUSED_WITHIN_S)
                async with session.delete(f"/orders/{resting}", headers=trader.headers) as answer:
                    assert answer.status == 202
                await asyncio.sleep(FULL_FOR_S)
            await until_accepted(load, 20)
            await healed(exchange)
            await eventually(lambda: _is_ready(session, wanted=True), BACK_WITHIN_S)
            async with session.get(f"/orders/{resting}", headers=trader.headers) as answer:
                assert (await answer.json())["status"] == "CANCELLED"
        await nothing_is_lost_or_doubled(exchange, load, are_logs_torn=True)


async def _rest(session: aiohttp.ClientSession, trader: Trader) -> str:
    async with session.post("/orders", json=BID, headers=trader.headers) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["orderId"])


async def _is_ready(session: aiohttp.ClientSession, *, wanted: bool) -> bool:
    async with session.get("/readyz") as answer:
        return (answer.status == 200) == wanted


def _log(exchange: ExchangeProcess, name: str) -> list[str]:
    return (exchange.data / name).read_text(errors="replace").splitlines()
