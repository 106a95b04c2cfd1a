"""One clock is wrong, of any process or of PostgreSQL: no market closes for longer than that, and nothing expires or settles early."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from bench.exchange_process import ROOT, ExchangeProcess
from tests.eventually import eventually
from tests.store.stepped_clock import step_clock
from tests.system.conftest import FULL

SHIFTED = Path(__file__).with_name("shifted")
HOUR_S = 3_600
WRONG_FOR_S = 13
BACK_WITHIN_S = 60.0
PROCESSES = ("clock", "demo", "liquidator", "relay", "engine", "projection", "publisher", "api", "postgres")
NEEDS_CLOCK = ("clock", "demo", "liquidator")
SAID = "the clock of this machine is"


class Scene(NamedTuple):
    """A demo exchange whose clocks can be set, and an order there that expires in half an hour."""

    exchange: ExchangeProcess
    session: aiohttp.ClientSession
    clocks: Path
    headers: dict[str, str]
    order: str

    @contextmanager
    def off(self, process: str, by_s: int) -> Iterator[None]:
        """The clock of a process is off inside the block; it steps at both ends."""
        (self.clocks / process).write_text(str(by_s))
        yield
        (self.clocks / process).unlink()

    def log_of(self, process: str) -> str:
        """What a process has logged."""
        return (self.exchange.data / "log" / f"{process}.log").read_text()

    async def get(self, path: str) -> Any:
        """An answer."""
        async with self.session.get(path, headers=self.headers) as answer:
            return await answer.json()

    async def place(self, **fields: Any) -> tuple[int, Any]:
        """Place an order far from the market that rests."""
        body = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "58000"}
        async with self.session.post("/orders", json=body | fields, headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def is_trading(self) -> bool:
        """Whether the market is open, its prices are fresh, and an order is taken and comes to rest."""
        market = await self.get("/markets/BTC-PERP")
        if market["status"] != "ACTIVE":
            return False
        price = str(round(float(market["indexPrice"]) * 0.95))
        status, taken = await self.place(price=price)
        if status != 202:
            return False
        await eventually(lambda: self.has_status(taken["orderId"], "OPEN"), BACK_WITHIN_S)
        return True

    async def has_status(self, order: str, status: str) -> bool:
        """Whether an order has this status."""
        return bool((await self.get(f"/orders/{order}"))["status"] == status)


@pytest_asyncio.fixture(name="scene")
async def scene_of_test(tmp_path: Path) -> AsyncIterator[Scene]:
    """A running demo, carol logged in."""
    clocks = tmp_path / "clocks"
    clocks.mkdir()
    environment = {"CLOCKS": str(clocks), "PYTHONPATH": f"{SHIFTED}:{ROOT}", "LOG_FORMAT": "json"}
    exchange = ExchangeProcess(tmp_path / "data", demo=True, environment=environment)
    await exchange.start()
    async with aiohttp.ClientSession(exchange.url) as session:
        carol = json.loads((exchange.data / "demo.json").read_bytes())["carol"]
        async with session.post("/auth/login", json=carol) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        begun = Scene(exchange, session, clocks, headers, "")
        await eventually(begun.is_trading, BACK_WITHIN_S)
        soon = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
        price = str(round(float((await begun.get("/markets/BTC-PERP"))["indexPrice"]) * 0.94))
        status, taken = await begun.place(price=price, timeInForce="GTD", expiresAt=soon)
        assert status == 202, taken
        yield begun._replace(order=taken["orderId"])
    await exchange.stop()


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_ten_minutes_ahead_for_thirteen_seconds(scene: Scene) -> None:
    """The clock process: the market stays ACTIVE all the time, and a line of its log names the cause."""
    with scene.off("clock", 600):
        for _second in range(WRONG_FOR_S):
            assert (await scene.get("/markets/BTC-PERP"))["status"] == "ACTIVE"
            await asyncio.sleep(1)
        assert f"{SAID} 600.0 s ahead of PostgreSQL's" in scene.log_of("clock")
    await eventually(scene.is_trading, BACK_WITHIN_S)
    assert await scene.has_status(scene.order, "OPEN")


@pytest.mark.parametrize("by_s", [pytest.param(HOUR_S, marks=FULL), pytest.param(-HOUR_S, marks=FULL)])
async def test_any_one_clock_an_hour_off(scene: Scene, by_s: int) -> None:
    """In turn, stepping away and back: each time the exchange trades again soon after, with nothing ended or settled early."""
    fundings = await scene.get("/markets/BTC-PERP/funding?limit=500")
    for process in PROCESSES:
        if process == "postgres":
            await _step_database(scene, by_s)
            await asyncio.sleep(WRONG_FOR_S)
            await _step_database(scene, 0)
        else:
            with scene.off(process, by_s):
                await asyncio.sleep(WRONG_FOR_S)
                assert f"{SAID} {HOUR_S}" in scene.log_of(process), process
                if process in NEEDS_CLOCK:
                    assert "exit code 74" in scene.log_of(process)
        await eventually(scene.is_trading, BACK_WITHIN_S)
        assert await scene.has_status(scene.order, "OPEN"), process
        market = await scene.get("/markets/BTC-PERP/ticker")
        assert abs(datetime.fromisoformat(market["time"]) - datetime.now(UTC)) < timedelta(minutes=5), process
        assert len((await scene.get("/markets/BTC-PERP/funding?limit=500"))["data"]) <= len(fundings["data"]) + 1
    assert (await scene.exchange.command("audit"))[0] == 0
    assert (await scene.exchange.command("verify", "--market", "BTC-PERP"))[0] == 0


async def _step_database(scene: Scene, by_s: int) -> None:
    url = json.loads((scene.exchange.data / "run.json").read_bytes())["databaseUrl"]
    session = await asyncpg.connect(url)
    try:
        await step_clock(session, timedelta(seconds=by_s))
    finally:
        await session.close()
