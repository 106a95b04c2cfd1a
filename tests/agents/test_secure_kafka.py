"""The stream on Apache Kafka by TLS and SCRAM, each worker as its own user with the rights of docs/operate/kafka_acls.sh."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from agents.fills.app import publisher_unit
from agents.matching.app import engine_unit
from agents.projection.app import projection_unit
from agents.relay import Relay
from agents.worker.membership.seats import seats
from broker.producer import AckedProducer
from broker.reader import last_record, read_all
from broker.topics import cluster_id
from schemas import topics
from store.queries.market_data.public_fills import newest_public_fill
from tests.agents.fill_reader import kept_by_sequence
from tests.agents.secure_kafka import SecureKafka
from tests.agents.stream import hosted, one_hash_each, stream_on
from tests.conftest import Broker
from tests.eventually import eventually
from tests.group_members import remove
from tests.tls import make_certificate

pytestmark = pytest.mark.chaos


@pytest_asyncio.fixture(name="secure")
async def kafka_with_tls(tmp_path: Path) -> AsyncIterator[tuple[SecureKafka, Broker]]:
    """A separate broker with its rights given, and its address for the operator."""
    server = SecureKafka(tmp_path / "kafka", make_certificate(tmp_path))
    bootstrap = await server.start()
    await server.allow(bootstrap)
    yield server, Broker(bootstrap)
    await server.stop()


async def test_the_whole_stream_works_by_tls_with_its_rights_alone(
    secure: tuple[SecureKafka, Broker], database: str, tmp_path: Path
) -> None:
    """Orders through relay, engine and projection, snapshots, recovery, and fills to a consumer; no user does another's work."""
    kafka, operator = secure
    async with stream_on(operator, database, tmp_path) as stream:
        of = {
            name: replace(stream.settings, bootstrap=kafka.address_for(f"perpetua-{name}"))
            for name in ("relay", "engine", "projection", "publisher")
        }

        def parts() -> list[object]:
            makers = {"engine": engine_unit, "projection": projection_unit, "relay": Relay, "publisher": publisher_unit}
            return [make(stream.market, of[name]) for name, make in makers.items()]

        for _ in range(2):  # the second time from the snapshot of the first
            async with hosted(*parts()):
                await stream.trade(300)
                progress = await stream.drained()
        assert progress.command_seq == 601
        assert one_hash_each(await stream.records())[progress.event_seq] == progress.event_hash
        newest = await newest_public_fill(stream.session, stream.market)
        consumer, fills = kafka.address_for("perpetua-consumer"), topics.fills_topic(stream.market)

        async def everything_is_published() -> bool:
            kept = kept_by_sequence(record.value for record in await read_all(consumer, fills))
            return list(kept) == list(range(1, newest + 1))

        async with hosted(*parts()):
            await eventually(everything_is_published)
        await _nobody_does_what_is_not_his(kafka, stream.market)


async def test_a_worker_without_its_right_on_its_group_says_so_and_works_once_it_has_it(
    secure: tuple[SecureKafka, Broker], database: str, tmp_path: Path
) -> None:
    """It was silent, and stayed out of its group permanently. SIGTERM ends it before and after."""
    kafka, operator = secure
    async with stream_on(operator, database, tmp_path) as stream:
        stream.settings = replace(stream.settings, bootstrap=kafka.address_for("perpetua-reader"))
        group = topics.shard_app_id("projection", stream.market.lower())
        refused, patient = stream.spawn("projection"), stream.spawn("projection")
        for worker in (refused, patient):
            await eventually(lambda each=worker: f"{group} is kept out of its group" in stream.log_of(each))
        refused.terminate()
        assert await asyncio.to_thread(refused.wait, 10) == 0
        await kafka.allow_group(operator.bootstrap, "perpetua-reader", group)
        await eventually(lambda: f"{group} is up" in stream.log_of(patient))
        patient.terminate()
        assert await asyncio.to_thread(patient.wait, 10) == 0


async def test_a_worker_removes_members_of_the_groups_of_its_kind_alone(
    secure: tuple[SecureKafka, Broker], database: str, tmp_path: Path
) -> None:
    """READ on the group is the right it takes. The member that was removed by mistake joins again."""
    kafka, operator = secure
    async with stream_on(operator, database, tmp_path) as stream:
        engine, publisher = kafka.address_for("perpetua-engine"), kafka.address_for("perpetua-publisher")
        async with hosted(engine_unit(stream.market, replace(stream.settings, bootstrap=engine))):
            [shown] = seats.shown
            with pytest.raises(GroupAuthorizationFailedError):
                await remove(publisher, *shown)
            assert seats.shown.keys() == {shown}
            assert await remove(engine, *shown)
            await eventually(lambda: seats.shown and shown not in seats.shown, within_s=30)
            assert not await remove(engine, *shown)


async def _nobody_does_what_is_not_his(kafka: SecureKafka, market: str) -> None:
    """A client that writes where it may not gets an error, and an unknown client gets no session."""
    assert await cluster_id(kafka.address_for("perpetua-clock"))
    for user, topic in {
        "projection": topics.events_topic(market),
        "engine": topics.commands_topic(market),
        "relay": topics.events_topic(market),
        "reader": topics.commands_topic(market),
        "publisher": topics.commands_topic(market),
        "consumer": topics.fills_topic(market),
        "backoffice": topics.executions_topic(market),
    }.items():
        with pytest.raises(
            (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
        ):  # the latter: writes nowhere
            await _forge(kafka.address_for(f"perpetua-{user}"), topic)
    logs = [topics.commands_topic(market), topics.events_topic(market), topics.book_changelog_topic(market)]
    private = [*logs, topics.DEAD_LETTERS]
    for user, closed in {"consumer": [*private, topics.executions_topic(market)], "backoffice": private}.items():
        for topic in closed:
            with pytest.raises(KafkaError):  # only the public topics name no users
                await last_record(kafka.address_for(f"perpetua-{user}"), topic)
    for topic in topics.PUBLISHED:
        await last_record(kafka.address_for("perpetua-backoffice"), topic)
    for credentials in (kafka.address_for("perpetua-engine", "wrong"), kafka.address_for("nobody")):
        with pytest.raises(KafkaError):
            await cluster_id(credentials)
    in_clear = kafka.address_for("perpetua-engine").rpartition("@")[2].partition("?")[0]
    with pytest.raises(KafkaConnectionError):
        await cluster_id(in_clear)
    assert await last_record(kafka.address_for("perpetua-reader"), topics.events_topic(market))


async def _forge(address: str, topic: str) -> None:
    producer = AckedProducer(address)
    try:
        await producer.start()
        await producer.send(topic, b"forged", b"x")
    finally:
        await producer.stop()
