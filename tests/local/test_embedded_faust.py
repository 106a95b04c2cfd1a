"""A Faust app on the embedded broker recovers its table to the true end of the changelog."""

import asyncio
import os
import sys
from pathlib import Path

from aiokafka import AIOKafkaProducer

from app.local.broker import EmbeddedBroker
from app.topics import create_topics
from schemas import topics
from tables.embedded_broker import producer_settings

MARKET = "BTC-PERP"
ROWS = 20
REPOSITORY = Path(__file__).resolve().parents[2]
APP = """
import os, sys
import faust
from schemas import topics
from tables.embedded_broker import lower_fetch_wait

app = faust.App(
    topics.engine_app_id("BTC-PERP"), broker=f"aiokafka://{sys.argv[1]}", datadir=sys.argv[2], store="memory://",
    web_enabled=False, topic_allow_declare=False, topic_disable_leader=True,
    broker_session_timeout=2, broker_heartbeat_interval=0.3,
)
lower_fetch_wait(app)
book = app.Table(topics.book_table("BTC-PERP"), partitions=1, key_type=bytes, value_type=bytes)

@book.on_recover
async def tell(*_):
    print("recovered", len(book.data.data), file=sys.__stdout__, flush=True)  # Faust takes sys.stdout for its log
    os._exit(0)

@app.agent(app.topic(topics.commands_topic("BTC-PERP"), key_type=bytes, value_type=bytes))
async def matching(stream):
    async for _ in stream:
        pass

faust.Worker(app, loglevel="WARN").execute_from_commandline()
"""


async def test_a_table_is_recovered_whole_when_its_last_records_share_a_batch(tmp_path: Path) -> None:
    """The broker reports the last batch's first offset as the end; recovery that believed it would miss 19 of 20 rows."""
    broker = EmbeddedBroker(tmp_path / "broker.log")
    address = await broker.start()
    try:
        await create_topics(address, [MARKET], is_embedded=True)
        await _write_changelog(address)
        assert f"recovered {ROWS}" in await _run_app(address, tmp_path)
    finally:
        await broker.stop()


async def _run_app(address: str, folder: Path) -> str:
    """What a worker prints until it has recovered: a process of its own, as Faust wants it."""
    app = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", APP, address, str(folder / "faust")],
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    try:
        output, _ = await asyncio.wait_for(app.communicate(), 30)
    finally:
        if app.returncode is None:
            app.kill()
    return output.decode()


async def _write_changelog(address: str) -> None:
    """All rows in one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=address, **(producer_settings(True) | {"linger_ms": 200}))
    await producer.start()
    try:
        changelog = topics.book_changelog_topic(MARKET)
        sent = [await producer.send(changelog, b"value", key=b"%d" % row, partition=0) for row in range(ROWS)]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
