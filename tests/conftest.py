"""Real parts for every test: one PostgreSQL and one broker a run, a fresh database a test."""

import gc
import itertools
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from app.local.kafka import LocalKafka
from app.local.kafka_cache import make_cache
from app.local.kafka_jars import KAFKA_VERSION
from app.local.postgres import EmbeddedPostgres
from schemas.units import Timestamp
from store.markets.registry import seed
from store.schema.migrate import migrate
from tests.distribution import Distribution, put_in_order
from tests.memory import folder_in_memory, folder_of_this_run
from tests.store.stepped_clock import WITHOUT_CLOCK
from tests.topic_faults import delete_all_topics

GARBAGE_LOOKED_FOR_AFTER = 50_000
"""More new objects than Python's default allows: a test makes few cycles, and looking for them takes a tenth of its time."""
STARTED_AT = Timestamp(1_800_000_000_000_000)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Broker:
    """Where a broker listens."""

    bootstrap: str


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests are never garbage: the cyclic collector, which takes a third of this, does not look at them.

    Afterwards it looks at what tests leave as rarely as at what a process of the exchange leaves.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE_LOOKED_FOR_AFTER)
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long runs first."""
    put_in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    """Of `--dist loadgroup`, which `make test` uses."""
    return Distribution(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_report_header() -> str:
    """Say which broker the run is on."""
    return f"broker: Apache Kafka {KAFKA_VERSION}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_dsn(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A PostgreSQL server for the run, in memory; on disk for the full sizes, whose tables are large."""
    is_large = request.config.getoption("markexpr") != "not chaos"
    with folder_of_this_run() if is_large else folder_in_memory() as folder:
        server = EmbeddedPostgres(folder / "data", is_durable=False)
        yield await server.start()
        await server.stop()


@pytest.fixture(scope="session")
def postgres_session(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """A session that makes and drops databases."""
    with psycopg.connect(postgres_dsn, autocommit=True) as session:
        yield session


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(postgres_dsn: str) -> str:
    """Name of a migrated and seeded database that tests copy. It has no clock: tests say what time it is."""
    name = "template_seeded"
    await _execute(postgres_dsn, f"CREATE DATABASE {name}")
    migrate(_dsn_of(postgres_dsn, name))
    await _execute(_dsn_of(postgres_dsn, name), WITHOUT_CLOCK)
    await seed(_dsn_of(postgres_dsn, name), STARTED_AT)
    return name


@pytest.fixture
def database(postgres_session: psycopg.Connection, postgres_dsn: str, template: str) -> Iterator[str]:
    """DSN of a fresh database with all tables, the seed markets and the insurance fund."""
    name = f"test_{next(_numbers)}"
    postgres_session.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield _dsn_of(postgres_dsn, name)
    postgres_session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """Apache Kafka, one for the run; on a new machine its cache is made first, so that the others start quickly."""
    await make_cache()
    async with _kafka_in(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def second_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """Another Apache Kafka for the run."""
    async with _kafka_in(tmp_path_factory.mktemp("second_broker")) as broker:
        yield broker


@pytest_asyncio.fixture
async def empty_broker(second_broker: Broker) -> AsyncIterator[Broker]:
    """A Kafka without topics, and without groups that the test could know: they are named after the markets of other tests."""
    yield second_broker
    await delete_all_topics(second_broker.bootstrap)


@asynccontextmanager
async def _kafka_in(folder: Path) -> AsyncIterator[Broker]:
    server = LocalKafka(folder / "kafka")
    try:
        yield Broker(await server.start())
    finally:
        await server.stop()


def _dsn_of(dsn: str, name: str) -> str:
    return dsn.replace("/perpetua?", f"/{name}?")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
