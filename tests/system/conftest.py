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
    """Starts exchanges in folders of this test and stops them after it."""
    started: list[ExchangeProcess] = []

    async def start(broker: str = REAL_BROKER, demo: bool = False) -> ExchangeProcess:
        exchange = ExchangeProcess(tmp_path / f"data-{len(started)}", broker, demo)
        started.append(exchange)
        await exchange.start()
        return exchange

    yield start
    for exchange in started:
        await exchange.stop()


@pytest.fixture(params=EVERY_BROKER)
def broker_kind(request: pytest.FixtureRequest) -> str:
    """Apache Kafka where it can be run, and the embedded broker."""
    return str(request.param)
