"""Poison on a real broker and a real database: it goes to the dead letters, and the market continues."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result
from prometheus_client import REGISTRY

from agents.dead_letter_retry import retry_dead_letter
from agents.matching import snapshot_writer
from agents.matching.app import engine_unit
from agents.matching.recovery import begin_assignment
from agents.projection.app import projection_unit
from agents.rebuild import rebuild
from agents.relay import Relay
from agents.verify import verify
from agents.worker.fail_stop import EXIT_WRONG
from app.cli import cli
from broker.dead_letters import (
    DeadLetter,
    Failure,
    dead_letter_of_failure,
    dead_letter_of_record,
    read_dead_letters,
    send_to_dlq,
)
from broker.event_records import pack
from broker.producer import AckedProducer
from broker.unreadable import Unreadable, UnreadableRecord
from exchange.engine.log import journal
from exchange.engine.log.journal import answer_command
from exchange.engine.market import empty_market
from schemas.commands import PassBarrier
from schemas.orders import OrderType, Side
from schemas.rest.operating.dead_letters import Retried
from schemas.rest.orders import OrderRequest
from schemas.topics import commands_topic, events_topic
from schemas.wire import GENESIS_HASH, CommandRecord, NumberedCommand, decode_command, encode
from store.command_log.broker_identity import claim_cluster
from store.command_log.outbox import read_commands, read_cursor, set_cursor
from store.submission import Placed, SubmitCancel, SubmitOrder
from tests.agents.poison import POISON, broken_apply
from tests.agents.stream import BEGAN_AT, Stream, hosted, one_hash_each, stream_on
from tests.conftest import Broker
from tests.eventually import eventually
from tests.store.projection_builders import an_order

ALL_PARTS = (Relay, engine_unit, projection_unit)


async def append(stream: Stream, topic: str, values: Sequence[bytes | None]) -> None:
    """Write these values into a topic, as anyone could."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    for value in values:
        await producer.send(topic, value, key=b"")
    await producer.stop()


async def command_record(stream: Stream, *seqs: int) -> CommandRecord:
    """The record that the relay would send for these commands."""
    progress = await stream.progress()
    bodies = dict(await read_commands(stream.session, progress.market_id, 0, 10_000))
    commands = [NumberedCommand(seq, msgspec.Raw(bodies[seq])) for seq in seqs]
    return CommandRecord(stream.market, progress.epoch, commands)


async def letters(stream: Stream) -> list[DeadLetter]:
    """The dead letters of the market."""
    found = await read_dead_letters(stream.settings.bootstrap)
    return [dead_letter for dead_letter in found if dead_letter.market == stream.market]


def bid(stream: Stream, client_id: str | None = None, quantity: str = "0.001") -> OrderRequest:
    """A small order that can rest."""
    return OrderRequest(stream.market, Side.BUY, OrderType.LIMIT, quantity, "59000", client_order_id=client_id)


async def place(stream: Stream, request: OrderRequest) -> str:
    """Submit one order of the first user; its public id."""
    (placed,) = await stream.submit([SubmitOrder(stream.users[0], request)])
    assert isinstance(placed, Placed)
    return placed.order_id


async def place_poison(stream: Stream) -> list[str]:
    """Orders around two that break the engine and a cancel that does; ids of the two, then of the one to cancel."""
    await stream.trade(10)
    bait = await place(stream, bid(stream, quantity="0.007"))
    first = await place(stream, bid(stream, POISON))
    await stream.trade(10)
    await stream.submit([SubmitCancel(stream.users[0], bait)])
    second = await place(stream, bid(stream, POISON + "-again"))
    await stream.trade(10)
    return [first, second, bait]


async def statuses(stream: Stream, *ids: str) -> list[tuple[str, str | None, bool]]:
    """Status, reason and whether a cancel is under way."""
    found = []
    for public in ids:
        row = await stream.session.fetchrow(
            "SELECT orders.status, reason, cancel_requested_at IS NOT NULL FROM orders"
            " JOIN markets USING (market_id) WHERE name = $1 AND order_id & 1099511627775 = $2",
            stream.market,
            int(public.rsplit("-", 1)[1]),
        )
        assert row is not None
        found.append(tuple(row))
    return found


def named_in(caplog: pytest.LogCaptureFixture, logger: str) -> list[tuple[object, ...]]:
    """What the error lines of a logger are about, as fields that programs find: market, sequence, order."""
    lines = [record.__dict__ for record in caplog.records if record.name == logger and record.levelno == logging.ERROR]
    return [tuple(line.get(name) for name in ("market", "sequence", "order")) for line in lines]


def counted(stream: Stream, reason: str) -> float:
    """How many dead letters of the market this process has counted."""
    labels = {"market": stream.market, "reason": reason}
    return REGISTRY.get_sample_value("perpetua_dead_letters_total", labels) or 0


async def test_a_command_that_breaks_the_engine_is_undone_and_the_market_continues(
    broker: Broker,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its order ends REJECTED INTERNAL, a cancel may be repeated, its bytes are a dead letter, what follows is matched.

    The log names the order, and the metrics count it.
    """
    monkeypatch.setattr(journal, "apply", broken_apply)
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in ALL_PARTS)):
            first, second, bait = await place_poison(stream)
            await stream.drained()
            rejected = ("REJECTED", "INTERNAL", False)
            assert await statuses(stream, first, second, bait) == [rejected, rejected, ("OPEN", None, False)]
            assert await stream.unfinished() == 0
            monkeypatch.undo()
            await stream.submit([SubmitCancel(stream.users[0], bait)])
            await stream.drained()
            assert await statuses(stream, bait) == [("CANCELLED", "USER", True)]
        one_hash_each(await stream.records())
        assert (await verify(stream.settings, stream.market)).differences == [], "without the bug, by the verdicts"
        found = await letters(stream)
        assert {(dead_letter.reason, dead_letter.detail) for dead_letter in found} == {
            ("INTERNAL", "tests.agents.poison.EngineBroke")
        }
        assert [dead_letter.id.rsplit(":", 1)[0] for dead_letter in found] == [stream.market] * 3
        assert {first, second} < {f"{dead_letter.market}-{dead_letter.seq}" for dead_letter in found}
        assert POISON in str(decode_command(found[0].value))
        assert counted(stream, "INTERNAL") == 3
        orders = dict(zip([dead_letter.seq for dead_letter in found], (first, bait, second), strict=True))
        assert named_in(caplog, "agents.matching.market_assignment") == [
            (stream.market, seq, order) for seq, order in orders.items()
        ]
        assert named_in(caplog, "agents.worker.foreign_records") == [(stream.market, seq, None) for seq in orders]


async def test_a_verdict_outlives_the_bug_and_the_broker(
    broker: Broker, empty_broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matched again from the first command on, by an engine without the bug, the events are the same.

    First the verdicts come from the log, then, when it is lost with the broker, from PostgreSQL.
    """
    monkeypatch.setattr(journal, "apply", broken_apply)
    async with stream_on(broker, database, tmp_path) as stream:
        async with hosted(*(part(stream.market, stream.settings) for part in ALL_PARTS)):
            await place_poison(stream)
            await stream.drained()
        before = one_hash_each(await stream.records())
        monkeypatch.undo()
        await stream.session.execute("DELETE FROM engine_snapshots")
        assert await matched_again(stream) == (await stream.progress()).event_hash
        await stream.move_to(empty_broker)
        await claim_cluster(stream.session, "the lost one")
        await rebuild(stream.settings, [stream.market], "another")
        async with hosted(*(part(stream.market, stream.settings) for part in ALL_PARTS)):
            await stream.trade(10)
            await stream.drained()
        assert before.items() < one_hash_each(await stream.records()).items()
        assert await letters(stream) == [], "a verdict that is honoured is not news"


async def matched_again(stream: Stream) -> str:
    """Recover the market from its log alone and apply every command; the hash of its last event. None is written."""
    known = await stream.session.fetch("DELETE FROM failed_commands RETURNING *")
    assignment = await begin_assignment(stream.market, stream.settings, {})
    last = (await stream.progress()).command_seq
    record = await command_record(stream, *range(1, last + 1))
    assert (
        assignment.leave_out_written(assignment.apply(assignment.sequencer.sort(record).fresh), GENESIS_HASH)[1] == []
    )
    await stream.session.copy_records_to_table("failed_commands", records=[tuple(row) for row in known])
    return assignment.market.event_hash


async def test_what_is_not_ours_is_buried_and_takes_no_sequence(
    broker: Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken JSON, no value, unknown versions and types, another market: dead letters with their reasons."""
    monkeypatch.setattr(snapshot_writer, "AGE_MAX_S", 3_600.0)  # what a snapshot covers is dropped unread
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(20)
        ours = await command_record(stream, 1, 2, 3)
        exploded = msgspec.Raw(b'{"type":"order.exploded","at":1,"v":1}')
        bad_text = msgspec.Raw(b'{"type":"market.barrier","at":1,"barrier":"\xff","v":1}')
        junk = {
            b"{broken": Unreadable.MALFORMED,
            b"\xff\xfe": Unreadable.MALFORMED,
            None: Unreadable.MALFORMED,
            b'{"x":' + b"[" * 50_000: Unreadable.MALFORMED,
            b"{}": Unreadable.UNKNOWN,
            encode(ours).replace(b'"v":1}', b'"v":2}'): Unreadable.UNKNOWN,
            encode(msgspec.structs.replace(ours, commands=[NumberedCommand(1, exploded)])): Unreadable.UNKNOWN,
            encode(CommandRecord(stream.market, 1, [NumberedCommand(1, bad_text)])): Unreadable.MALFORMED,
            encode(CommandRecord("BTC-PERP", 1, ours.commands)): Unreadable.FOREIGN_MARKET,
        }
        await append(stream, commands_topic(stream.market), list(junk))
        async with hosted(*(part(stream.market, stream.settings) for part in ALL_PARTS)):
            await stream.drained()
            await append(stream, commands_topic(stream.market), list(junk))
            await stream.trade(20)
            assert (await stream.drained()).command_seq == 41
        found = await letters(stream)
        assert [dead_letter.reason for dead_letter in found] == [*junk.values(), *junk.values()]
        assert {reason: counted(stream, reason) for reason in junk.values()} == Counter(
            [*junk.values(), *junk.values()]
        )
        assert [dead_letter.value for dead_letter in found[: len(junk)]] == [value or b"" for value in junk]
        assert found[0].id == f"{commands_topic(stream.market)}@0"
        one_hash_each(await stream.records())
        report = await verify(stream.settings, stream.market)
        assert (report.differences, report.skipped_records) == ([], 2 * len(junk))


async def test_a_record_of_the_relay_that_was_garbled_is_sent_again(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """In the middle of the log the gap shows it, at the tail the relay's own look at the log does."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(30)
        good = [encode(await command_record(stream, *seqs)) for seqs in ((1, 2), (3, 4), (5, 6), (7, 8))]
        await append(stream, commands_topic(stream.market), [good[0], good[1][:-9], good[2], good[3][:-9]])
        await set_cursor(stream.session, (await stream.progress()).market_id, 31)
        async with hosted(*(part(stream.market, stream.settings) for part in ALL_PARTS)):
            assert (await stream.drained()).command_seq == 31
        assert [dead_letter.reason for dead_letter in await letters(stream)] == ["MALFORMED", "MALFORMED"]
        one_hash_each(await stream.records())


async def test_a_letter_too_large_for_a_record_is_cut(broker: Broker, database: str, tmp_path: Path) -> None:
    """Poison of any size becomes a dead letter, which gives its full length."""
    async with stream_on(broker, database, tmp_path) as stream:
        size = 3 * 2**20
        fault = UnreadableRecord(Unreadable.MALFORMED, "x" * 10_000)
        producer = AckedProducer(stream.settings.bootstrap)
        await producer.start()
        await send_to_dlq(
            producer, dead_letter_of_record(stream.market, commands_topic(stream.market), 7, b"x" * size, fault)
        )
        await producer.stop()
        (dead_letter,) = await letters(stream)
        assert dead_letter.size_bytes == size > len(dead_letter.value)


async def test_an_event_that_cannot_be_applied_stops_the_projection(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """An order that the tables do not have: the process ends loudly, and nothing is skipped."""
    async with stream_on(broker, database, tmp_path) as stream:
        market, listing = empty_market(stream.market), (await command_record(stream, 1)).commands[0]
        lines = answer_command(market, 1, decode_command(listing.body)) + answer_command(
            market, 2, an_order(77, Side.BUY, 1, 600_000)
        )
        lines += answer_command(market, 3, PassBarrier(BEGAN_AT, "behind"))
        for chain, line in zip([GENESIS_HASH, *(line.hash for line in lines)], lines, strict=False):
            await append(
                stream, events_topic(stream.market), [encode(r) for r in pack(stream.market, 1, chain, [line])]
            )
        projection = stream.spawn("projection")
        assert await eventually(projection.poll) == EXIT_WRONG
        assert "ProjectionBroken" in stream.log_of(projection)
        assert (await stream.progress()).command_seq <= 1


async def test_dead_letters_are_listed_and_retried_without_a_second_effect(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """`dlq retry` has the relay send what is missing, and gives the reason to skip every other one; it is idempotent."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(6)
        market_id = (await stream.progress()).market_id
        await set_cursor(stream.session, market_id, 7)
        missing, foreign = await command_record(stream, 2, 3, 4), await command_record(stream, 5)
        altered = msgspec.structs.replace(foreign, commands=[NumberedCommand(5, missing.commands[0].body)])
        values = [encode(missing), encode(altered), encode(msgspec.structs.replace(missing, epoch=9)), b"{broken"]
        producer = AckedProducer(stream.settings.bootstrap)
        await producer.start()
        await send_to_dlq(
            producer, dead_letter_of_failure(stream.market, Failure(2, missing.commands[0].body, KeyError("x")))
        )
        for offset, value in enumerate(values, 1_000_000):
            fault = UnreadableRecord(Unreadable.UNKNOWN, "as an older version saw it")
            await send_to_dlq(
                producer, dead_letter_of_record(stream.market, commands_topic(stream.market), offset, value, fault)
            )
        await producer.stop()

        expected = [Retried.ANSWERED, Retried.SENT_AGAIN, Retried.NOT_OURS, Retried.NOT_OURS, Retried.UNREADABLE]
        for _ in range(2):
            assert [
                (await retry_dead_letter(stream.session, each)).result for each in await letters(stream)
            ] == expected
            assert await read_cursor(stream.session, market_id) == 1
        ids = [dead_letter.id for dead_letter in await letters(stream)]
        assert ids[0] == f"{stream.market}:2"
        async with hosted(*(part(stream.market, stream.settings) for part in ALL_PARTS)):
            await stream.drained()
        listed = await app(stream, "dlq", "list", "--json")
        assert [row["id"] for row in orjson.loads(listed.output) if row["market"] == stream.market] == ids
        again = await app(stream, "dlq", "retry", "--json", ids[0], ids[1])
        assert again.exit_code == 0
        assert {row["result"] for row in orjson.loads(again.output)} == {"ANSWERED"}
        assert (await app(stream, "dlq", "retry", ids[4])).exit_code == 1
        assert (await app(stream, "dlq", "retry", "never@1")).exit_code == 1


async def app(stream: Stream, *words: str) -> Result:
    """What `python -m app …` says."""
    environment = {"DATABASE_URL": stream.settings.dsn, "BROKER_URL": stream.settings.bootstrap}
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, list(words))
