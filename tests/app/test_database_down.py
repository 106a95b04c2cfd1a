"""The database goes down under the command line: commands that watch wait for it, all others report it and exit."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiokafka.errors import KafkaConnectionError

from app.local.postgres import EmbeddedPostgres
from app.unreachable import OUT_OF_REACH, BrokerSilent, unreachable
from schemas.orders import Side
from store.markets.registry import seed
from store.schema.migrate import migrate
from store.session.connect import StoreUnavailable
from tests.conftest import STARTED_AT
from tests.store.account_builder import session_to
from tests.store.projection_builders import an_order, open_exchange

ROOT = Path(__file__).parents[2]
BTC = "BTC-PERP"
ENDING = (("tail", "--market", BTC), ("migrate",), ("api",))
AWAY = [
    asyncpg.CannotConnectNowError("the database system is shutting down"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
    StoreUnavailable(outcome_is_unknown=False),
    FileNotFoundError(".s.PGSQL.5432"),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_database_that_is_down_is_reported_as_that(error: Exception) -> None:
    """However the driver says it: in a sentence, never as a traceback."""
    assert isinstance(error, OUT_OF_REACH)
    assert "its database does not answer" in unreachable(error)


@pytest.mark.parametrize("error", [KafkaConnectionError(), BrokerSilent()], ids=lambda error: type(error).__name__)
def test_a_broker_that_is_down_is_reported_as_that(error: Exception) -> None:
    """By its own name, though it is caught at the same place."""
    assert isinstance(error, OUT_OF_REACH)
    assert "its broker does not answer" in unreachable(error)


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server that may be stopped, with the seed markets."""
    server = EmbeddedPostgres(tmp_path / "postgres", is_durable=False)
    dsn = await server.start()
    await asyncio.to_thread(migrate, dsn)
    await seed(dsn, STARTED_AT)
    yield server
    await server.stop()


async def test_what_only_looks_outlives_an_outage(server: EmbeddedPostgres) -> None:
    """A tail that follows has each fill once and says once that it waits; `status --watch` shows the markets again."""
    await _trade(server.dsn, "ann", "bob")
    async with (
        _typed(server, "tail", "--market", BTC, "--follow") as tail,
        _typed(server, "status", "--watch") as watch,
    ):
        assert await _next_sequence(tail) == 1
        async with _shutting_down(server):
            reported = (await _line(tail.stderr)).decode()
            assert reported.startswith("waiting at sequence 2: ")
            assert "CannotConnectNowError" in reported
            await _until_line(watch, "CannotConnectNowError")
        await _until_line(watch, "FileNotFoundError")
        await server.start()
        await _trade(server.dsn, "carol", "dave")
        assert await _next_sequence(tail) == 2
        await _until_line(watch, BTC)
        tail.terminate()
        assert tail.stderr is not None
        assert await tail.stderr.read() == b""


async def test_every_other_command_ends_with_a_sentence(server: EmbeddedPostgres) -> None:
    """While the server shuts down and when it has: exit code 1, one line, no traceback."""
    async with _shutting_down(server):
        for words in ENDING:
            await _ends_with_a_sentence(server, words, "shutting down")
    for words in ENDING:
        await _ends_with_a_sentence(server, words, "No such file")


async def _ends_with_a_sentence(server: EmbeddedPostgres, words: tuple[str, ...], saying: str) -> None:
    async with _typed(server, *words) as process:
        printed, text = await process.communicate()
    assert (process.returncode, printed, text.count(b"\n")) == (1, b"", 1), text.decode()
    assert "its database does not answer" in text.decode()
    assert saying in text.decode()


@asynccontextmanager
async def _shutting_down(server: EmbeddedPostgres) -> AsyncIterator[None]:
    """It takes no session any more, and ends with the one that is left."""
    async with session_to(server.dsn):
        assert server.pid is not None
        os.kill(server.pid, signal.SIGTERM)
        yield
    await server.wait()


@asynccontextmanager
async def _typed(server: EmbeddedPostgres, *words: str) -> AsyncIterator[Process]:
    """A command as an operator types it, ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *words),
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": server.dsn, "BROKER_URL": "127.0.0.1:1"},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _trade(dsn: str, *names: str) -> None:
    """Match one lot between two new users."""
    exchange = await open_exchange(dsn)
    await exchange.settle()
    users = [await exchange.user(f"{name}@x.io") for name in names]
    for user, side in zip(users, (Side.BUY, Side.SELL), strict=True):
        await exchange.submit(BTC, an_order(user, side, 1, 600_000))
    await exchange.settle()
    await exchange.close()


async def _next_sequence(tail: Process) -> int:
    return int(json.loads(await _line(tail.stdout))["sequence"])


async def _until_line(process: Process, holding: str) -> None:
    while holding not in (await _line(process.stdout)).decode():
        pass


async def _line(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    line = await asyncio.wait_for(stream.readline(), 30)
    assert line, "it has ended"
    return line
