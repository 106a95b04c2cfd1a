"""The whole exchange for a test, on each kind of broker this machine has."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from app.local.kafka import is_available as kafka_is_available
from bench.exchange_process import ExchangeProcess
from schemas.crash_points import CrashPoint
from tests.system.faults import hold

REAL_BROKER = "kafka" if kafka_is_available() else "embedded"
EVERY_BROKER = sorted({REAL_BROKER, "embedded"})
OTHER_BROKERS = [kind for kind in EVERY_BROKER if kind != REAL_BROKER]

FULL = [pytest.mark.chaos, pytest.mark.timeout(7_200)]
"""The full size of docs/bars.md, which `make chaos` runs; the default run has the short one."""

Start = Callable[..., Awaitable[ExchangeProcess]]
Measured = Callable[[str, float], None]


@pytest_asyncio.fixture
async def start_exchange(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts exchanges in folders of this test and stops them after it: for tests that need an empty book."""
    started: list[ExchangeProcess] = []

    async def start(broker: str = REAL_BROKER, demo: bool = False) -> ExchangeProcess:
        exchange = ExchangeProcess(tmp_path / f"data-{len(started)}", broker, demo)
        started.append(exchange)
        await exchange.start()
        return exchange

    yield start
    for exchange in started:
        await exchange.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running() -> AsyncIterator[dict[str, ExchangeProcess]]:
    """The exchanges that tests share, by kind of broker; each is started when it is first asked for."""
    exchanges: dict[str, ExchangeProcess] = {}
    yield exchanges
    for exchange in exchanges.values():
        await exchange.stop()


@pytest_asyncio.fixture
async def any_exchange(running: dict[str, ExchangeProcess], tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Gives a running exchange, whatever other tests left in its books; whoever stops it starts it again.

    Its crash points are armed, and held until a test lets one go (tests/system/faults.py).
    """

    async def give(broker: str = REAL_BROKER) -> ExchangeProcess:
        if broker not in running:
            data = tmp_path_factory.mktemp("shared") / "data"
            for point in CrashPoint:
                hold(data, point)
            running[broker] = ExchangeProcess(data, broker, environment={"CRASH_AT": ",".join(CrashPoint)})
            await running[broker].start()
        return running[broker]

    return give


@pytest.fixture(params=EVERY_BROKER)
def broker_kind(request: pytest.FixtureRequest) -> str:
    """Apache Kafka where it can be run, and the embedded broker."""
    return str(request.param)


@pytest.fixture
def measured(capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]) -> Measured:
    """Prints a number that was measured, and never judged."""

    def say(what: str, value: float) -> None:
        record_property(what, value)
        with capsys.disabled():
            sys.stdout.write(f"\n  {what}: {value if isinstance(value, int) else round(value, 1)}")

    return say
