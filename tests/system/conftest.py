"""The whole exchange for a test, on each kind of broker this machine has."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from app.local.kafka import is_available as kafka_is_available
from bench.exchange_process import ExchangeProcess

REAL_BROKER = "kafka" if kafka_is_available() else "embedded"
EVERY_BROKER = sorted({REAL_BROKER, "embedded"})

Start = Callable[..., Awaitable[ExchangeProcess]]


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
    """Gives a running exchange, whatever other tests left in its books; whoever stops it starts it again."""

    async def give(broker: str = REAL_BROKER) -> ExchangeProcess:
        if broker not in running:
            running[broker] = ExchangeProcess(tmp_path_factory.mktemp("shared") / "data", broker)
            await running[broker].start()
        return running[broker]

    return give


@pytest.fixture(params=EVERY_BROKER)
def broker_kind(request: pytest.FixtureRequest) -> str:
    """Apache Kafka where it can be run, and the embedded broker."""
    return str(request.param)
