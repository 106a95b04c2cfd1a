"""The whole exchange for a test."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from bench.exchange_process import ExchangeProcess
from store.crash_points import CrashPoint
from tests.distribution import uses_shared_exchange
from tests.system.faults import hold

FULL = [pytest.mark.chaos, pytest.mark.timeout(7_200)]
"""The full size of docs/bars.md, which `make chaos` runs; the default run has the short one."""

Start = Callable[..., Awaitable[ExchangeProcess]]
Measured = Callable[[str, float], None]
SHARED = pytest.StashKey[ExchangeProcess]()


@pytest_asyncio.fixture
async def start_exchange(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts exchanges in folders of this test and stops them after it: for tests that need an empty book."""
    started: list[ExchangeProcess] = []

    async def start(demo: bool = False) -> ExchangeProcess:
        exchange = ExchangeProcess(tmp_path / f"data-{len(started)}", demo)
        started.append(exchange)
        await exchange.start()
        return exchange

    yield start
    for exchange in started:
        await exchange.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ExchangeProcess]:
    """The exchange that tests share, its crash points armed and held; started when it is first asked for."""
    data = tmp_path_factory.mktemp("shared") / "data"
    for point in CrashPoint:
        hold(data, point)
    exchange = ExchangeProcess(data, environment={"CRASH_AT": ",".join(CrashPoint)})
    request.session.stash[SHARED] = exchange
    yield exchange
    if exchange.is_running:
        await exchange.stop()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the shared exchange when the next test does not use it: idle, it would slow down every other test."""
    exchange = item.session.stash.get(SHARED, None)
    if exchange and exchange.is_running and not (nextitem and uses_shared_exchange(nextitem)):
        exchange.end()


@pytest_asyncio.fixture
async def any_exchange(running: ExchangeProcess) -> Start:
    """Gives a running exchange, with the state that other tests left; a test that stops it must start it again.

    A test lets a crash point go (tests/system/faults.py).
    """

    async def give() -> ExchangeProcess:
        if not running.is_running:
            await running.start()
        return running

    return give


@pytest.fixture
def measured(capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]) -> Measured:
    """Prints a number that was measured, and never judged."""

    def say(what: str, value: float) -> None:
        record_property(what, value)
        with capsys.disabled():
            sys.stdout.write(f"\n  {what}: {value if isinstance(value, int) else round(value, 1)}")

    return say
