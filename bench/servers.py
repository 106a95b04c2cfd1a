"""Servers that a measure starts and ends: one HTTP process, one durable PostgreSQL, one Kafka."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from app.local.kafka import LocalKafka
from app.local.postgres import EmbeddedPostgres
from app.local.process import free_port, tail_of
from app.operator import now
from bench.load.job import ROOT
from store.markets.registry import seed
from store.schema.migrate import migrate

LISTENS_WITHIN_S = 30.0


class EndedEarly(Exception):
    """A process ended before it served; its output."""

    def __init__(self, words: tuple[str, ...], printed: str) -> None:
        super().__init__(f"{' '.join(words)}\n{printed}")
        self.words = words
        self.printed = printed


@asynccontextmanager
async def python(*words: str, log: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[int]:
    """`python …` in its own process; yields its process id. It is stopped at the end."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words), cwd=ROOT, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        yield process.pid
        if process.returncode is not None:
            raise EndedEarly(words, tail_of(log))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


@asynccontextmanager
async def listening(
    *words: str, port: int, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """The same for a server: it listens on `port` when this starts; yields the port."""
    async with python(*words, log=log, environment=environment):
        await _until_it_listens(port, words, log)
        yield port


@asynccontextmanager
async def bare_server(folder: Path, handler: str) -> AsyncIterator[int]:
    """A bare aiohttp server, `plain` or `lean`; its port."""
    port = free_port()
    async with listening("-m", "bench.yardsticks.bare", str(port), handler, port=port, log=folder / f"{handler}.log"):
        yield port


@asynccontextmanager
async def bare_broadcast(folder: Path, texts: list[str]) -> AsyncIterator[int]:
    """A bare aiohttp server that sends these texts to all its connections when it is told to; its port."""
    port, file = free_port(), folder / "texts.json"
    file.write_bytes(msgspec.json.encode(texts))
    words = ("-m", "bench.yardsticks.bare_broadcast", str(port), str(file))
    async with listening(*words, port=port, log=folder / "broadcast.log"):
        yield port


@asynccontextmanager
async def handler_only(folder: Path, secret: str) -> AsyncIterator[int]:
    """Our API without workers or a database; its port."""
    port = free_port()
    async with listening(
        "-m", "bench.yardsticks.handler_only", str(port), secret, port=port, log=folder / "handler.log"
    ):
        yield port


@asynccontextmanager
async def api_server(folder: Path, dsn: str, secret: str) -> AsyncIterator[int]:
    """Our API process as `python -m app api` on a database, without workers; its port."""
    port = free_port()
    environment = {
        "DATABASE_URL": dsn,
        "BROKER_URL": "127.0.0.1:1",
        "JWT_SECRET": secret,
        "PORT": str(port),
        "DATA": str(folder / "api"),
    }
    async with listening("-m", "app", "api", port=port, log=folder / "api.log", environment=environment):
        yield port


@asynccontextmanager
async def durable_postgres(folder: Path) -> AsyncIterator[str]:
    """PostgreSQL with fsync on, migrated and seeded; its DSN."""
    server = EmbeddedPostgres(folder / "postgres")
    dsn = await server.start()
    try:
        await asyncio.to_thread(migrate, dsn)
        await seed(dsn, now())
        yield dsn
    finally:
        await server.stop()


@asynccontextmanager
async def kafka(folder: Path) -> AsyncIterator[str]:
    """Apache Kafka, empty; its bootstrap address."""
    server = LocalKafka(folder / "kafka")
    try:
        yield await server.start()
    finally:
        await server.stop()


async def _until_it_listens(port: int, words: tuple[str, ...], log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + LISTENS_WITHIN_S
    while asyncio.get_running_loop().time() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise EndedEarly(words, tail_of(log))
