"""P5: the matching agent as it runs, in its own process on real Kafka, compared with a bare aiokafka loop on the same log.

The command log is written beforehand; both start when it is complete. The rate is that of the event log: the commands after its
first record, over the time from the first to the last record as the broker's log dates them. So starting up, joining a
group and recovering do not count; snapshots and everything else that runs in that time do.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.local.process import tail_of
from bench.load.flow import BEGAN_AT, Flow, commands
from bench.load.job import ROOT
from bench.result import Bar, Outcome, Row, compared
from bench.servers import EndedEarly, python
from bench.sizes import Size
from broker.reader import last_record, stream_records
from broker.topics import create_topics
from schemas.commands import ListMarket
from schemas.market import SEED_MARKETS, MarketSpec, MarketStatus
from schemas.topics import commands_topic, events_topic
from schemas.wire import CommandRecord, NumberedCommand, decode_event_record, encode
from store.markets.registry import list_market
from store.session.connect import connect_writer

PACKINGS = (50, 500)
RESTING = 2_000
BAR = Bar(0.5)
LOOK_EVERY_S = 0.25
WITHIN_S = 180.0
_numbers = count(1)


async def measure(dsn: str, bootstrap: str, folder: Path, size: Size) -> Outcome:
    """For each packing of the relay, rounds of both in turn, each agent on its own market."""
    rows = []
    for packing in PACKINGS:
        rounds = [
            await _round(dsn, bootstrap, folder, size.engine_commands, packing) for _ in range(size.engine_rounds)
        ]
        rows.append(_row(packing, rounds))
    return Outcome(rows)


def _row(packing: int, rounds: list[tuple[float, float]]) -> Row:
    ours, bare = zip(*rounds, strict=True)
    baseline = ("bare aiokafka loop", bare)
    return compared("P5", f"matching agent, {packing} commands a record", "commands/s", ours, baseline, BAR)


async def _round(dsn: str, bootstrap: str, folder: Path, total: int, packing: int) -> tuple[float, float]:
    number = next(_numbers)
    market, bare_market = f"BENCH{number}-PERP", f"BARE{number}-PERP"
    await _list(dsn, market)
    await create_topics(bootstrap, [market, bare_market])
    await _fill(bootstrap, market, total, packing)
    bare = ("-m", "bench.yardsticks.bare_loop", bootstrap, market, events_topic(bare_market), str(total))
    async with _ending(*bare, log=folder / f"{bare_market}.log"):
        bare_rate = await _rate_of_log(bootstrap, events_topic(bare_market), total, packing)
    environment = {"DATABASE_URL": dsn, "BROKER_URL": bootstrap, "DATA": str(folder / market), "SESSION_TIMEOUT_S": "3"}
    agent = ("-m", "app", "engine", "--market", market)
    async with python(*agent, log=folder / f"{market}.log", environment=environment):
        rate = await _rate_of_log(bootstrap, events_topic(market), total, packing)
    return rate, bare_rate


@asynccontextmanager
async def _ending(*words: str, log: Path) -> AsyncIterator[None]:
    """A process that ends when its work is done."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield
        code = await process.wait()
        if code:
            raise EndedEarly(words, tail_of(log))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _list(dsn: str, market: str) -> None:
    session = await connect_writer(dsn, "bench")
    try:
        await list_market(session, _spec(market), BEGAN_AT)
    finally:
        await session.close()


def _spec(market: str) -> MarketSpec:
    return msgspec.structs.replace(SEED_MARKETS[0], market=market)


async def _fill(bootstrap: str, market: str, total: int, packing: int) -> None:
    """Write `total` commands to the log of a market, the listing first."""
    flow = Flow(4)
    operations = flow.resting(min(RESTING, total // 2))
    operations += flow.mixed(total - 1 - len(operations))
    listed = ListMarket(BEGAN_AT, _spec(market), MarketStatus.ACTIVE)
    numbered = [NumberedCommand(1, msgspec.Raw(encode(listed)))]
    numbered += [
        NumberedCommand(seq, msgspec.Raw(encode(command))) for seq, command in enumerate(commands(operations, 2), 2)
    ]
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=2 * 2**20)
    await producer.start()
    try:
        for start in range(0, total, packing):
            record = CommandRecord(market, 1, numbered[start : start + packing])
            await producer.send_and_wait(commands_topic(market), encode(record), key=market.encode(), partition=0)
    finally:
        await producer.stop()


async def _rate_of_log(bootstrap: str, topic: str, total: int, packing: int) -> float:
    """Wait until all commands are answered; commands a second by the dates in the log."""
    await _until_answered(bootstrap, topic, total, -(-total // packing))
    dated = [(record.timestamp, record.value) async for record in stream_records(bootstrap, topic)]
    first_ms, first = dated[0]
    last_ms, last = dated[-1]
    after_first = decode_event_record(last).last_command_seq - decode_event_record(first).last_command_seq
    return float(1_000 * after_first / max(1, last_ms - first_ms))


async def _until_answered(bootstrap: str, topic: str, total: int, records_min: int) -> None:
    """Poll the end of the log rarely, over one connection: polling must not take processor time from the engine."""
    partition = TopicPartition(topic, 0)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await reader.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                end = (await reader.end_offsets([partition]))[partition]
                if end >= records_min and await _is_answered(bootstrap, topic, total):
                    return
                await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await reader.stop()


async def _is_answered(bootstrap: str, topic: str, total: int) -> bool:
    value = await last_record(bootstrap, topic)
    return value is not None and decode_event_record(value).last_command_seq >= total
