"""The projection agent and its stream: gaps, outages and foreign records."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from agents.projection.worker import Projector
from broker.errors import LogMismatch
from broker.event_records import pack
from broker.producer import AckedProducer
from broker.reader import FIRST_STEP
from exchange.engine.log.journal import answer_command
from exchange.engine.market import empty_market
from schemas.topics import events_topic
from schemas.wire import GENESIS_HASH, EventRecord, decode_command, encode
from store.command_log.outbox import read_commands
from store.projection import EventGap
from tests.agents.stream import Stream, stream_on
from tests.conftest import Broker
from tests.eventually import eventually


class Delivered:
    """A record as the stream hands it over; remembers whether it was acknowledged."""

    def __init__(self, record: EventRecord) -> None:
        self.message = SimpleNamespace(partition=0, offset=0, value=encode(record), timestamp=1_800_000_000.123)
        self.is_acknowledged = False

    def ack(self) -> None:
        """What the projector does when the record is persisted."""
        self.is_acknowledged = True


async def matched(stream: Stream) -> list[EventRecord]:
    """The event records of everything in the outbox, one for each command."""
    progress = await stream.progress()
    market, records, before = empty_market(stream.market), [], GENESIS_HASH
    for seq, payload in await read_commands(stream.session, progress.market_id, 0, 1_000):
        records += pack(stream.market, progress.epoch, before, answer_command(market, seq, decode_command(payload)))
        before = market.event_hash
    return records


async def test_a_gap_is_filled_from_the_log(broker: Broker, database: str, tmp_path: Path) -> None:
    """Commits were lost, the offset lags behind them: what is missing is read back from the log."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(30)
        records = await matched(stream)
        began = await stream.session.fetchval("SELECT date_trunc('milliseconds', now())")
        await append(stream, records)
        last = Delivered(records[-1])
        await persisted(Projector(stream.market, stream.settings), last)
        assert (await stream.progress()).command_seq == 31
        of_orders = "SELECT count(*) FROM persisted_records WHERE matched_at BETWEEN $1 AND persisted_at"
        assert await stream.session.fetchval(of_orders, began) == 30


async def test_a_hole_that_the_log_heals_further_on_is_passed(broker: Broker, database: str, tmp_path: Path) -> None:
    """The log lost its tail, the engine noticed by writing after the hole, recovered, and wrote everything again."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(6)
        records = await matched(stream)
        await append(stream, [*records[:2], records[4], *records[2:]])
        position = Delivered(records[4])
        await persisted(Projector(stream.market, stream.settings), position)
        assert (await stream.progress()).command_seq == 7


async def test_old_events_written_once_more_do_not_hide_what_is_before_them(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """A thawed owner's record starts before the gap in sequence, and the missing events are before it in the log."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(2 * FIRST_STEP)
        records = await matched(stream)
        position = len(records) - FIRST_STEP + 1
        await append(stream, [*records[:position], records[0], *records[position:]])
        await persisted(Projector(stream.market, stream.settings), *(Delivered(record) for record in records[:9]))
        await persisted(Projector(stream.market, stream.settings), Delivered(records[-1]))
        assert (await stream.progress()).command_seq == 2 * FIRST_STEP + 1


async def test_a_gap_that_the_log_has_too_stops_the_projection(broker: Broker, database: str, tmp_path: Path) -> None:
    """Nothing is skipped: without the missing event nothing after it is persisted or acknowledged."""
    async with stream_on(broker, database, tmp_path) as stream:
        await stream.trade(5)
        records = await matched(stream)
        await append(stream, [*records[:2], records[-1]])
        last = Delivered(records[-1])
        with pytest.raises(EventGap):
            await persisted(Projector(stream.market, stream.settings), last)
        assert not last.is_acknowledged
        assert (await stream.progress()).command_seq == 2


async def test_records_wait_through_a_cut_session(broker: Broker, database: str, tmp_path: Path) -> None:
    """PostgreSQL cuts the session: the same records are given again, and acknowledged only then."""
    async with stream_on(broker, database, tmp_path) as stream:
        projector = Projector(stream.market, stream.settings)
        await stream.trade(5)
        deliveries = [Delivered(record) for record in await matched(stream)]
        await persisted(projector, *deliveries[:3])
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
        await stream.session.execute(cut, projector.name)
        await persisted(projector, *deliveries[3:])
        assert (await stream.progress()).command_seq == 6


async def test_a_record_of_another_epoch_is_refused(broker: Broker, database: str, tmp_path: Path) -> None:
    """Events of a log that was given up are not persisted."""
    async with stream_on(broker, database, tmp_path) as stream:
        (record,) = await matched(stream)
        with pytest.raises(LogMismatch):
            await Projector(stream.market, stream.settings).take(Delivered(msgspec.structs.replace(record, epoch=9)))


async def append(stream: Stream, records: list[EventRecord]) -> None:
    """Write records into the event log, as an engine would."""
    producer = AckedProducer(stream.settings.bootstrap)
    await producer.start()
    for record in records:
        await producer.send(events_topic(stream.market), encode(record), key=b"")
    await producer.stop()


async def persisted(projector: Projector, *deliveries: Delivered) -> None:
    """Hand records over and wait until they are acknowledged; raises what the projector raises."""
    for delivery in deliveries:
        await projector.take(delivery)
    work = asyncio.create_task(projector.work())
    acknowledged = asyncio.create_task(eventually(lambda: all(delivery.is_acknowledged for delivery in deliveries)))
    done, _ = await asyncio.wait([work, acknowledged], return_when=asyncio.FIRST_COMPLETED)
    for task in (work, acknowledged):
        task.cancel()
    await asyncio.wait([work, acknowledged])
    await projector.close()
    for task in done:
        task.result()
