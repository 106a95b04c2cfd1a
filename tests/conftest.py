"""Real parts for every test: one PostgreSQL and one broker a run, a fresh database a test."""

import itertools
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from app.local.broker import EmbeddedBroker
from app.local.kafka import LocalKafka
from app.local.kafka import is_available as kafka_is_available
from app.local.postgres import EmbeddedPostgres
from schemas.units import Timestamp
from store.markets import seed
from store.migrate import migrate

STARTED_AT = Timestamp(1_800_000_000_000_000)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Broker:
    """Where the broker of this run listens, and of which kind it is."""

    bootstrap: str
    is_embedded: bool


def pytest_report_header() -> str:
    """Say which broker the run stands on; CI insists on Kafka."""
    return f"broker: {'Apache Kafka' if kafka_is_available() else 'embedded (no Java and Maven found)'}"


def pytest_configure() -> None:
    """CI without Kafka would prove less than it says."""
    if os.environ.get("PERPETUA_REQUIRE_KAFKA") and not kafka_is_available():
        pytest.exit("PERPETUA_REQUIRE_KAFKA is set, but java and mvn were not found", returncode=2)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_dsn() -> AsyncIterator[str]:
    """A PostgreSQL server for the run; not in pytest's folder, which a second run closes to other accounts."""
    with tempfile.TemporaryDirectory(prefix="perpetua-tests-") as folder:
        server = EmbeddedPostgres(Path(folder) / "data", is_durable=False)
        yield await server.start()
        await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(postgres_dsn: str) -> str:
    """Name of a migrated and seeded database that tests copy."""
    name = "template_seeded"
    await _execute(postgres_dsn, f"CREATE DATABASE {name}")
    migrate(_dsn_of(postgres_dsn, name))
    await seed(_dsn_of(postgres_dsn, name), STARTED_AT)
    return name


@pytest_asyncio.fixture
async def database(postgres_dsn: str, template: str) -> AsyncIterator[str]:
    """DSN of a fresh database with all tables, the seed markets and the insurance fund."""
    name = f"test_{next(_numbers)}"
    await _execute(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _dsn_of(postgres_dsn, name)
    await _execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """Apache Kafka where Java and Maven are found, else the embedded broker; one for the run."""
    folder = tmp_path_factory.mktemp("broker")
    server = _broker_in(folder)
    yield Broker(await server.start(), is_embedded=isinstance(server, EmbeddedBroker))
    await server.stop()


@pytest_asyncio.fixture
async def embedded_broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """An empty embedded broker for one test."""
    server = EmbeddedBroker(tmp_path / "broker.log")
    yield Broker(await server.start(), is_embedded=True)
    await server.stop()


def _broker_in(folder: Path) -> LocalKafka | EmbeddedBroker:
    return LocalKafka(folder / "kafka") if kafka_is_available() else EmbeddedBroker(folder / "broker.log")


def _dsn_of(dsn: str, name: str) -> str:
    return dsn.replace("/perpetua?", f"/{name}?")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
