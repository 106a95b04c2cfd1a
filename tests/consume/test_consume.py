"""A consumer with docs/consume.md alone gets every fill exactly once, whichever process is killed."""

import asyncio
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agents.fills.app import publisher_unit
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.rebuild import rebuild
from agents.relay import Relay
from agents.worker.host import Unit
from app.local.run_record import RunRecord, write_run_record
from broker.topics import cluster_id
from schemas.fills import PublicFill, encode_fill, fill_headers
from store.queries.market_data.public_fills import newest_public_fill
from tests.agents.intruder import KINDS, intrude
from tests.agents.stream import Stream, hosted, stream_on
from tests.agents.test_publisher import everything_is_published, parts, send_fills, stored
from tests.api.exchange import Exchange
from tests.conftest import Broker
from tests.consume.outside_consumer import OutsideConsumer, commands, programs
from tests.eventually import eventually

CONSUMER = "python3 consume_fills.py"
FAUST = "python3 keep_with_faust.py worker --without-web"
REPOSITORY = Path(__file__).parents[2]
ALL = (Relay, engine_unit, projection_unit, publisher_unit)
FULL = [pytest.mark.chaos, pytest.mark.timeout(3_600)]


@asynccontextmanager
async def consumer_of(stream: Stream, folder: Path) -> AsyncIterator[OutsideConsumer]:
    """An outside consumer of a market whose history is served over REST."""
    api = await Exchange(stream.settings.dsn).start()
    client = OutsideConsumer(
        folder / "consumer", stream.market, stream.settings.bootstrap, f"http://127.0.0.1:{api.port}"
    )
    try:
        yield client
    finally:
        client.kill()
        await api.stop()


@asynccontextmanager
async def market_with_consumer(
    broker: Broker, dsn: str, folder: Path, *kinds: Callable[..., Unit]
) -> AsyncIterator[tuple[Stream, OutsideConsumer]]:
    """A market, these of its workers in the loop of the test, and an outside consumer."""
    async with (
        stream_on(broker, dsn, folder) as stream,
        hosted(*parts(stream, *kinds)),
        consumer_of(stream, folder) as client,
    ):
        yield stream, client


async def has_every_fill_once(client: OutsideConsumer, stream: Stream) -> list[PublicFill]:
    """Wait until the consumer is at the newest fill: then it has each once, in order, as the tables have it."""
    await stream.drained()
    newest = await newest_public_fill(stream.session, stream.market)
    await eventually(lambda: client.last() >= newest)
    fills = await stored(stream)
    assert [encode_fill(msgspec.convert(fill, PublicFill)) for fill in client.kept()] == list(map(encode_fill, fills))
    assert len(fills) == newest > 0
    return fills


def test_the_guide_starts_what_it_shows() -> None:
    """Each program has the line that starts it, and no other line starts one."""
    starting = [line for block in commands("python3 ") for line in block.splitlines() if line.startswith("python3 ")]
    assert starting == [CONSUMER, FAUST]
    assert set(programs()) == {"consume_fills.py", "keep_with_faust.py"}


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=FULL)])
async def test_every_fill_is_kept_once_across_kills_of_consumer_publisher_and_engine(
    broker: Broker, database: str, tmp_path: Path, rounds: int
) -> None:
    """kill -9 for all three in each round, in any order, while orders flow; all of them come back, nothing else helps."""
    chance = random.Random(rounds)  # noqa: S311 - the same kills on every run
    async with market_with_consumer(broker, database, tmp_path, Relay, projection_unit) as (stream, client):
        workers = {kind: stream.spawn(kind) for kind in ("engine", "publisher")}
        client.start(CONSUMER)
        for _ in range(rounds):
            before = client.last()
            await stream.trade(100)
            await eventually(lambda before=before: client.last() > before)
            for kind in chance.sample(("engine", "publisher", "consumer"), k=3):
                await stream.trade(chance.randint(1, 60))
                if kind == "consumer":
                    client.kill()
                    client.start(CONSUMER)
                else:
                    workers[kind].kill()
                    workers[kind].wait()
                    workers[kind] = stream.spawn(kind)
        await stream.trade(50)
        await has_every_fill_once(client, stream)


async def test_a_consumer_misses_nothing_when_the_broker_is_lost(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fills it never saw were lost with the broker, and the new stream starts after them: the replay has them."""
    monkeypatch.setattr("agents.fills.record_stream.AGAIN_ON_A_NEW_BROKER", 5)
    async with stream_on(broker, database, tmp_path) as stream, consumer_of(stream, tmp_path) as client:
        async with hosted(*parts(stream, *ALL)):
            await stream.trade(60)
            client.start(CONSUMER)
            await has_every_fill_once(client, stream)
            client.kill()
            await stream.trade(60)
            await everything_is_published(stream)
        await stream.move_to(empty_broker)
        await rebuild(stream.settings, [stream.market], await cluster_id(stream.settings.bootstrap))
        client.environment["KAFKA"] = stream.settings.bootstrap
        client.start(CONSUMER)
        async with hosted(*parts(stream, *ALL)):
            await stream.trade(60)
            await has_every_fill_once(client, stream)


async def test_faust_keeps_every_fill_once(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide's agent on a stream that starts after the first fills: the replay has them. Killed, it continues."""
    monkeypatch.setattr("agents.fills.record_stream.AGAIN_ON_A_NEW_BROKER", 5)
    unpublished = market_with_consumer(broker, database, tmp_path, Relay, engine_unit, projection_unit)
    async with unpublished as (stream, client):
        await stream.trade(60)
        await stream.drained()
        async with hosted(*parts(stream, publisher_unit)):
            client.start(FAUST)
            await has_every_fill_once(client, stream)
            client.kill()
            await stream.trade(60)
            client.start(FAUST)
            await has_every_fill_once(client, stream)


@pytest.mark.parametrize(
    "program", [pytest.param(CONSUMER, id="aiokafka"), pytest.param(FAUST, id="faust", marks=pytest.mark.chaos)]
)
async def test_foreign_records_in_the_stream_are_passed(
    broker: Broker, database: str, tmp_path: Path, program: str
) -> None:
    """Of every kind, between our fills and at the end: the guide's programs keep each fill once, and run on."""
    async with market_with_consumer(broker, database, tmp_path, *ALL) as (stream, client):
        client.start(program)
        for _ in range(2):
            await stream.trade(40)
            await has_every_fill_once(client, stream)
            for kind in KINDS.values():
                await intrude(broker.bootstrap, stream.market, "fills", kind)
        client.kill()
        client.start(program)
        await stream.trade(40)
        await has_every_fill_once(client, stream)
        assert not client.has_ended


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
async def test_kcat_shows_every_record_and_keeps_each_fill_once(broker: Broker, database: str, tmp_path: Path) -> None:
    """Both of the guide's commands on a stream with repetitions: all records with headers; each fill after the last one kept."""
    async with market_with_consumer(broker, database, tmp_path, *ALL) as (stream, client):
        await stream.trade(60)
        fills = await everything_is_published(stream)
        await send_fills(stream, fills[:3])
        show, keep = commands("kcat")
        lines = [encode_fill(fill).decode() for fill in fills]
        headers = [",".join(f"{name}={value.decode()}" for name, value in fill_headers(fill)) for fill in fills]
        shown = [f"{header} {line}" for header, line in zip(headers, lines, strict=True)]
        assert await asyncio.to_thread(client.shell, show) == shown + shown[:3]
        assert await asyncio.to_thread(client.shell, keep) == lines
        assert await asyncio.to_thread(client.shell, keep, LAST="9") == lines[9:]
        for kind in KINDS.values():
            await intrude(broker.bootstrap, stream.market, "fills", kind)
        assert await asyncio.to_thread(client.shell, keep) == lines


async def test_the_history_is_available_without_a_broker(broker: Broker, database: str, tmp_path: Path) -> None:
    """The guide's curl: two fills from the first on; and its tail: every one of them."""
    async with stream_on(broker, database, tmp_path) as stream, consumer_of(stream, tmp_path) as client:
        async with hosted(*parts(stream, Relay, engine_unit, projection_unit)):
            await stream.trade(60)
            await stream.drained()
        (curl,), (tail,) = commands("curl"), commands("app tail")
        (line,) = await asyncio.to_thread(client.shell, curl)
        assert [fill["sequence"] for fill in msgspec.json.decode(line)["data"]] == [1, 2]
        tail = tail.replace(".venv/bin/python -m", f"cd {REPOSITORY} && {sys.executable} -m")
        lines = await asyncio.to_thread(client.shell, tail, DATABASE_URL=database, BROKER_URL="127.0.0.1:1")
        assert lines == [encode_fill(fill).decode() for fill in await stored(stream)]


@pytest.mark.parametrize("environment", [{}, {"DATA": "elsewhere"}], ids=["by-default", "by-DATA"])
def test_the_guide_finds_the_broker_of_a_local_exchange(tmp_path: Path, environment: dict[str, str]) -> None:
    """The line that asks the run record of `make run` sets what every example reads."""
    client = OutsideConsumer(tmp_path, "", "", "")
    client.environment.pop("DATA", None)
    folder = tmp_path / environment.get("DATA", ".local")
    folder.mkdir()
    write_run_record(folder, RunRecord(1, "http://x", "postgresql://x", "127.0.0.1:4711", "x", {}))
    (export,) = commands("export KAFKA")
    assert client.shell(export + 'echo "$KAFKA $MARKET"', **environment) == ["127.0.0.1:4711 BTC-PERP"]


async def test_a_mistyped_market_is_reported(database: str, tmp_path: Path) -> None:
    """The program ends and says why: it does not wait forever for an unknown market."""
    api = await Exchange(database).start()
    client = OutsideConsumer(tmp_path / "consumer", "NOPE-PERP", "127.0.0.1:1", f"http://127.0.0.1:{api.port}")
    client.start(CONSUMER)
    try:
        await eventually(lambda: client.has_ended)
        assert "MARKET_NOT_FOUND" in client.log
    finally:
        client.kill()
        await api.stop()
