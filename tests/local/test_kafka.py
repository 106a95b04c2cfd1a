"""The local Kafka keeps the promises the agents build on, through kills and torn logs."""

import asyncio
import logging
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError

from app.local.kafka import LocalKafka
from app.local.kafka_cache import first_group_awaited, make_cache
from app.local.kafka_heap import DEFAULT_HEAP
from app.local.kafka_jars import KAFKA_VERSION, fetch_jars
from app.local.kafka_jvm import cache_path, java_command
from broker.reader import end_offset
from broker.topics import admin_client, cluster_id, create_topics, topic_settings
from schemas import topics

COMMANDS = TopicPartition(topics.commands_topic("BTC-PERP"), 0)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Running:
    """A started broker, its folder and where it listens."""

    server: LocalKafka
    folder: Path
    address: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A broker with the topics of a market."""
    folder = tmp_path_factory.mktemp("broker") / "kafka"
    server = LocalKafka(folder)
    running = Running(server, folder, await server.start())
    await create_topics(running.address, ["BTC-PERP"])
    yield running
    await server.stop()


async def test_every_record_comes_back_in_order_and_the_end_is_the_next_offset(running: Running) -> None:
    """100 records in ten batches come back as sent, and the end offset is the number of them."""
    await _send(running, batches=10, records=10)
    assert await _read(running) == [b"%d" % number for number in range(100)]


async def test_the_index_of_a_log_is_no_larger_than_its_segments_need(running: Running) -> None:
    """Of an index of Kafka's 10 MiB, Linux reads megabytes of nothing ahead at the first entry; two indexes of 600 logs each have one."""
    indexes = [
        each for log in running.folder.rglob("engine.*") for each in log.iterdir() if each.name.endswith("index")
    ]
    assert indexes
    assert max(each.stat().st_size for each in indexes) <= 32 * 1_024


async def test_an_empty_topic_ends_at_zero(running: Running) -> None:
    """Nothing was sent to the dead letters, so the next record gets offset 0."""
    assert await _end(running, TopicPartition(topics.DEAD_LETTERS, 0)) == 0


async def test_topics_are_made_once_with_one_partition_and_our_settings(running: Running) -> None:
    """Creating them again changes nothing; the book topic is compacted only."""
    await create_topics(running.address, ["BTC-PERP"])
    async with admin_client(running.address) as client:
        for name, settings in topic_settings(["BTC-PERP"]):
            description = (await client.describe_topics([name]))[0]
            assert (description["topic"], len(description["partitions"])) == (name, 1)
            answer = (await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)]))[0]
            stored = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert settings.items() <= stored.items()


async def test_a_folder_is_formatted_as_by_kafkas_own_tool(running: Running, tmp_path: Path) -> None:
    """After its first run the tool is not started any more: the same files, ids of its own, the same features."""
    tool = LocalKafka(tmp_path)
    tool._write_settings()
    await tool._run_format_tool(await fetch_jars(), "c2VsZi1tYWRlLWtha2ZhLQ")
    ours, theirs = running.folder / "log", tmp_path / "log"
    assert {file.name for file in theirs.iterdir()} <= {file.name for file in ours.iterdir()}
    assert _names_in(ours / "meta.properties") == _names_in(theirs / "meta.properties")
    assert _features_in(ours) == _features_in(theirs)
    assert {b"metadata.version", b"group.version"} <= _features_in(ours).keys()
    assert not _ids_in(ours) & _ids_in(theirs)


async def test_a_killed_broker_is_the_same_one_with_every_record(running: Running) -> None:
    """kill -9: it starts at its address, with its cluster id and every record that was acknowledged."""
    server, before = running.server, running.server.cluster_id
    assert await cluster_id(running.address) == before
    await _kill(server)
    assert (await server.start(), server.cluster_id) == (running.address, before)
    assert await _end(running, COMMANDS) == 100


@pytest.mark.parametrize("damage", ["cut", "zeroed"])
async def test_a_torn_log_is_cut_to_its_last_whole_record(running: Running, damage: str) -> None:
    """A power cut loses unwritten pages: the end of a segment is missing, or zeros. What is whole before it stays."""
    before = await _read(running)
    await _kill(running.server)
    segment = max((running.folder / "log" / f"{COMMANDS.topic}-0").glob("*.log"))
    whole = segment.read_bytes().rstrip(b"\0")
    torn = whole[: len(whole) - 150] + (b"\0" * 150 if damage == "zeroed" else b"")
    segment.write_bytes(torn)
    await running.server.start()
    after = await _read(running)
    assert after == before[: len(after)]
    assert len(before) - 20 <= len(after) < len(before)


async def _kill(server: LocalKafka) -> None:
    assert server.pid is not None
    assert server.memory_bytes() > 2**20
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL


async def _read(running: Running) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=running.address, group_id=None, enable_auto_commit=False)
    async with consumer:
        consumer.assign([COMMANDS])
        count = await end_offset(consumer, COMMANDS)
        consumer.seek(COMMANDS, 0)
        return [(await consumer.getone(COMMANDS)).value for _ in range(count)]


async def _end(running: Running, partition: TopicPartition) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=running.address, group_id=None, enable_auto_commit=False)
    async with consumer:
        consumer.assign([partition])
        return await end_offset(consumer, partition)


async def _send(running: Running, *, batches: int, records: int) -> None:
    """Numbered records, each batch awaited before the next is sent."""
    producer = AIOKafkaProducer(bootstrap_servers=running.address, acks="all", enable_idempotence=True)
    async with producer:
        for batch in range(batches):
            numbers = range(batch * records, (batch + 1) * records)
            sent = [await producer.send(COMMANDS.topic, b"%d" % number, partition=0) for number in numbers]
            await asyncio.gather(*sent)


async def test_the_cache_fits_the_machine_that_made_it(tmp_path: Path) -> None:
    """Required to use it or fail, Java uses it; by default it would skip one that does not fit, and start slowly."""
    assert await make_cache()
    jars = await fetch_jars()
    options = (f"-XX:AOTCache={cache_path(jars, DEFAULT_HEAP)}", "-XX:AOTMode=on")
    (tmp_path / "log4j2.properties").touch()
    command = java_command(tmp_path, jars, ["kafka.Kafka", "--version"], heap=DEFAULT_HEAP, options=options)
    java = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await java.communicate()
    assert (java.returncode, KAFKA_VERSION in printed.decode()) == (0, True), printed


async def test_new_code_causes_no_collection(tmp_path: Path) -> None:
    """A whole one stops the broker for a tenth of a second."""
    jars = await fetch_jars()
    (tmp_path / "log4j2.properties").touch()
    options = ("-XX:+PrintFlagsFinal",)
    command = java_command(tmp_path, jars, ["kafka.Kafka", "--version"], heap=DEFAULT_HEAP, options=options)
    java = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await java.communicate()
    assert re.search(r"\bSweeperThreshold\s*= 100\.0", printed.decode())


async def test_a_new_node_without_a_coordinator_is_no_error_to_report(caplog: pytest.LogCaptureFixture) -> None:
    """`make run` printed the client's line on its first start. Other errors of the client are still logged, and this one elsewhere."""
    client, said = logging.getLogger("aiokafka.consumer.group_coordinator"), "Group Coordinator Request failed: %s"
    absent, real = GroupCoordinatorNotAvailableError(), NotCoordinatorForGroupError()
    with first_group_awaited():
        client.error(said, absent)
        client.error(said, real)
    client.error(said, absent)
    assert [record.args for record in caplog.records] == [(real,), (absent,)]


def _names_in(properties: Path) -> set[str]:
    return {line.partition("=")[0] for line in properties.read_text().splitlines() if not line.startswith("#")}


def _ids_in(log: Path) -> set[str]:
    lines = (log / "meta.properties").read_text().splitlines()
    return {line.partition("=")[2] for line in lines if ".id=" in line and not line.startswith("node.id")}


def _features_in(log: Path) -> dict[bytes, bytes]:
    """The features that a cluster begins with, and their levels: the records of its first file."""
    return dict(re.findall(rb"([a-z.]+\.version)\x00(.)", (log / "bootstrap.checkpoint").read_bytes(), re.DOTALL))
